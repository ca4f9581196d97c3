"""The way out of the graph: records to a topic."""

from collections.abc import Callable
from typing import Any

from voicestream.streams.errors import EncodeError, RegistryError
from voicestream.streams.message import Headers, Message, Outgoing
from voicestream.streams.operators.node import CLOCK, Item, Node, Position, Run
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.topic import Topic

ORIGIN = "streams-origin"
"""The header of a copy on a repartition topic: what it was made of. A second copy of the same is passed over."""


INDEX_BITS = 16  # of the copies of one message on its way through several repartition topics


class To(Node):
    """``to``: each record to a topic, under its own key or one that a function gives.

    ``traced`` is of a repartition topic: a copy says what it was made of, so that one that a replay makes again is
    known. It says so where a replay gives the same positions: not of a batch, and of what a record's time brought forth
    only when one topic alone drives time.
    """

    def __init__(
        self, topic: Topic[Any], key: Callable[[Any], str] | None, *, traced: bool = False, tombstones: bool = False
    ) -> None:
        super().__init__()
        self.topic = topic
        self.label = f"to {topic.name}"
        self.traced = traced
        self.one_source = True
        self._key = key
        self._tombstones = tombstones
        self._environment: Environment | None = None
        self._origin = ""

    def bind(self, environment: Environment, origin: str) -> None:
        """Take what is needed at run time; ``origin`` is the name of the pipeline."""
        self._environment = environment
        self._origin = origin

    async def process(self, items: list[Item], run: Run) -> None:
        assert self._environment is not None
        topic = self.topic
        for item in items:
            record, source = item.value, item.source
            try:
                if record is None and self._tombstones:
                    key, value = item.key, None
                else:
                    value = self._environment.encode(self._origin, topic, record)
                    key = self._key(record) if self._key is not None else own_key(record, item.key)
                if not isinstance(key, str):
                    raise TypeError(f"{self.label}: the key of a {type(record).__name__} is {key!r}, and keys are text")
                encoded = key.encode()
            except Exception as error:
                run.fail(self, item, error, "produce" if isinstance(error, EncodeError | RegistryError) else "process")
                continue
            number = run.sources(source)[-1] if run.messages else 0
            headers = self._headers(source, number, run) if self.traced else ()
            run.out.append((number, source >= 0, Outgoing(topic.name, encoded, value, item.time_ms, None, headers)))

    def _headers(self, source: int, number: int, run: Run) -> Headers:
        if not run.messages or source >= len(run.messages):
            return ()
        origin, offset, nested = run.positions[number]
        if source < 0 and not self.one_source and origin != CLOCK:
            return ()
        at = f"{self._origin}/{run.messages[number].partition}|{origin}"
        index = nested << INDEX_BITS | run.next_index(self.topic.name, number)
        return ((ORIGIN, f"{at}|{offset}_{index}".encode()),)


def own_key(record: Any, key: str) -> str:
    """The key that a record says it has; where its type does not say, ``key``."""
    try:
        return str(record.key)
    except NotImplementedError:
        return key


def position_of(message: Message) -> Position:
    """Where a message comes from: its topic, and for a copy, what its origin header says."""
    for name, value in message.headers:
        if name == ORIGIN and value:
            try:
                origin, _, at = value.decode().rpartition("|")
                offset, index = at.split("_")
                return Position(f"{message.topic}|{origin}", int(offset), int(index))
            except ValueError:  # somebody else's
                break
    return Position(message.topic, message.offset, 0)
