"""What an operator is at run time: a node that takes the items of a run and hands what it makes of them to the next.

A run is what the agent was given at once, say 500 messages. It goes through the graph as lists, node by node, so what a
record costs is its functions and not the graph. An item knows the message that it came of, so an error anywhere names
the message to be set aside.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from voicestream.streams.message import Message, Outgoing
from voicestream.streams.policies import Step
from voicestream.streams.state.store import Store

CLOCK = ""
"""Stands for a topic, where the clock and no record drives event time; its offsets are event times."""


class Item(NamedTuple):
    """A value on its way through the graph.

    ``time_ms`` is its event time, ``watermark_ms`` how far event time had got when it came. ``source`` is the number of
    its message in the run; ``~number`` for what time brought forth and that message let pass (the result of a window):
    an error of it is not the message's fault. Beyond the messages, it is the number of a group of messages.
    """

    key: str
    value: Any
    time_ms: int
    watermark_ms: int
    partition: int
    source: int


class Position(NamedTuple):
    """Where a message comes from: a topic and its offset, or what the origin header of a copy says."""

    origin: str
    offset: int
    copy: int


class Orphan(NamedTuple):
    """What failed and came of no message: the result of a window, or of a punctuator."""

    item: Item
    step: Step
    error: Exception


class Run:
    """One pass of some messages through the graph: what it sends, and what failed."""

    def __init__(self, messages: Sequence[Message], now_ms: int, single: frozenset[int] = frozenset()) -> None:
        self.messages = messages
        self.now_ms = now_ms
        self.single = single  # messages that may not share a batch: one of a batch has failed
        self.out: list[tuple[int, bool, Outgoing]] = []
        """The number of a message, whether it is to blame for what follows, and what is to be sent."""
        self.failed: dict[int, tuple[Step, Exception]] = {}
        self.orphans: list[Orphan] = []
        self.suspects: set[int] = set()
        self.groups: list[tuple[int, ...]] = []
        self.undo = False  # a message that failed may have changed a store
        self.positions: list[Position] = []
        self._indexes: Counter[tuple[str, int]] = Counter()
        self._stale: dict[str, frozenset[int]] = {}

    def group(self, sources: Sequence[int]) -> int:
        """A number that stands for several messages."""
        self.groups.append(tuple(sources))
        return len(self.messages) + len(self.groups) - 1

    def sources(self, source: int) -> tuple[int, ...]:
        """The messages behind an item's ``source``."""
        if source < 0:
            return (~source,) if self.messages else ()
        return (source,) if source < len(self.messages) else self.groups[source - len(self.messages)]

    def fail(self, node: "Node", item: Item, error: Exception, step: Step = "process") -> None:
        """Note that ``node`` could not process ``item``, or not produce its result."""
        if item.source < 0:
            self.orphans.append(Orphan(item, step, error))
            return
        sources = self.sources(item.source)
        if len(sources) > 1:
            self.suspects.update(sources)  # which of them it was, single ones will tell
            return
        self.failed.setdefault(sources[0], (step, error))
        self.undo = self.undo or not node.guards_state

    def stale(self, store: Store[Any]) -> frozenset[int]:
        """The numbers of the messages that ``store`` has applied before, and the worker died before it could commit."""
        found = self._stale.get(store.name)
        if found is None:
            fences: dict[int, Mapping[str, tuple[int, int]]] = {}
            numbers = []
            for number, (message, position) in enumerate(zip(self.messages, self.positions, strict=True)):
                fence = fences.get(message.partition)
                if fence is None:
                    fence = fences[message.partition] = store.meta(message.partition).fence
                last = fence.get(position.origin)
                if last is not None and (position.offset, position.copy) <= tuple(last):
                    numbers.append(number)
            found = self._stale[store.name] = frozenset(numbers)
        return found

    def next_index(self, topic: str, number: int) -> int:
        """How many copies a message has on ``topic`` so far."""
        index = self._indexes[topic, number]
        self._indexes[topic, number] += 1
        return index

    def message(self, source: int) -> Message | None:
        """The message that an item came of, or that let it pass; ``None``: the clock on the wall did."""
        sources = self.sources(source)
        return self.messages[sources[-1]] if sources else None


def by_time(source: int) -> int:
    """The source of what time brings forth when an item of ``source`` comes."""
    return source if source < 0 else ~source


class Node:
    """One operator. ``apply`` makes a list of items of a list of items; subclasses that wait redefine ``process``."""

    label = "node"
    by_two = False  # whether what it makes of one parent's items depends on what came of the other's

    def __init__(self) -> None:
        self.children: list[Node] = []
        self.parents: list[Node] = []
        self.beside: list[Node] = []  # that look this one up, so that they belong to the same pipeline
        self.guards_state = False  # nothing that comes to a store passes this node by
        self.delay_ms = 0  # how far behind event time the values are that it holds back
        self.behind_ms = 0  # how far behind event time those are that come here: the delays of all nodes before

    def then(self, child: "Node") -> "Node":
        """Put ``child`` behind this node; returns the child."""
        self.children.append(child)
        child.parents.append(self)
        return child

    @property
    def store(self) -> Store[Any] | None:
        """The store that this node writes to."""
        return None

    async def process(self, items: list[Item], run: Run) -> None:
        """Take items, in order, and hand on what comes of them."""
        await self.emit(self.apply(items, run), run)

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        """What becomes of ``items``; errors go to ``run.fail``."""
        return items

    async def emit(self, items: list[Item], run: Run) -> None:
        """Hand ``items`` to every child."""
        if items:
            for child in self.children:
                await child.process(items, run)

    def due(self, partition: int, watermark_ms: int) -> bool:
        """Whether ``advance`` has something to do."""
        return False

    async def advance(self, partition: int, watermark_ms: int, source: int, run: Run) -> None:
        """Event time of a partition has got to ``watermark_ms``, with no record at hand."""

    async def tick(self, run: Run) -> None:
        """Wall-clock time goes on; called about twice a second."""

    def recovered(self, partitions: Sequence[int], now_ms: int) -> None:
        """The stores hold what the changelogs have; what was kept beside them is to be built anew."""

    def aborted(self) -> None:
        """The run is undone: the stores are as they were before it."""

    def finish(self) -> None:
        """The run is over: tell the store what was changed, before it commits."""


class Port(Node):
    """A way out of a node that has several, such as the late records of a window."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label


class Map(Node):
    """``map``: one value of one."""

    label = "map"

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        function, made = self._function, []
        for item in items:
            key, value, time_ms, watermark_ms, partition, source = item
            try:
                made.append(Item(key, function(value), time_ms, watermark_ms, partition, source))
            except Exception as error:
                run.fail(self, item, error)
        return made


class Filter(Node):
    """``filter``: the values for which a function says so."""

    label = "filter"

    def __init__(self, function: Callable[[Any], bool]) -> None:
        super().__init__()
        self._function = function

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        function, kept = self._function, []
        for item in items:
            try:
                if function(item.value):
                    kept.append(item)
            except Exception as error:
                run.fail(self, item, error)
        return kept


class OfType(Node):
    """``of``: the values of one type."""

    def __init__(self, kind: type | tuple[type, ...]) -> None:
        super().__init__()
        self._kind = kind
        kinds = kind if isinstance(kind, tuple) else (kind,)
        self.label = f"of {' | '.join(k.__name__ for k in kinds)}"

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        kind = self._kind
        return [item for item in items if isinstance(item.value, kind)]


class FlatMap(Node):
    """``flat_map``: any number of values of one."""

    label = "flat_map"

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        made: list[Item] = []
        for item in items:
            try:
                made += [item._replace(value=value) for value in self._function(item.value)]
            except Exception as error:
                run.fail(self, item, error)
        return made


class Peek(Node):
    """``peek``: a look at each value on its way."""

    label = "peek"

    def __init__(self, function: Callable[[Any], object]) -> None:
        super().__init__()
        self._function = function

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        seen = []
        for item in items:
            try:
                self._function(item.value)
            except Exception as error:
                run.fail(self, item, error)
            else:
                seen.append(item)
        return seen


class Branch(Node):
    """``branch``: each value goes out by the first port whose function takes it; by none if none does."""

    label = "branch"

    def __init__(self, functions: Sequence[Callable[[Any], bool]]) -> None:
        super().__init__()
        self._functions = functions
        self.ports = [Port(f"branch {number}") for number in range(1, len(functions) + 1)]
        for port in self.ports:
            self.then(port)

    async def process(self, items: list[Item], run: Run) -> None:
        chosen: list[list[Item]] = [[] for _ in self.ports]
        for item in items:
            try:
                number = next((n for n, takes in enumerate(self._functions) if takes(item.value)), None)
            except Exception as error:
                run.fail(self, item, error)
                continue
            if number is not None:
                chosen[number].append(item)
        for port, taken in zip(self.ports, chosen, strict=True):
            await port.emit(taken, run)
