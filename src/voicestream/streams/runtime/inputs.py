"""Messages to events: what an agent takes of its topics."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from voicestream.streams.errors import DecodeError, StreamsError
from voicestream.streams.message import REPLAYED_FOR, Event, Message, Outgoing
from voicestream.streams.middleware.retries import while_away
from voicestream.streams.policies import Retry, final
from voicestream.streams.record import Record
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.failures import Failures
from voicestream.streams.stage import Agent
from voicestream.streams.state.entries import RESERVED


class Inputs:
    """Decodes what comes from the topics of one agent, under its policy."""

    def __init__(self, environment: Environment, agent: Agent, failures: Failures) -> None:
        self._codec = environment.codec
        self._topics = {topic.name: topic for topic in agent.inputs}
        self._accepts = agent.accepts
        self._address = f"{agent.stage}/{agent.name}".encode()
        self._keyed = agent.store is not None
        pipeline = agent.pipeline
        self._tables = {source.topic.name for source in pipeline.sources if source.timeless} if pipeline else set()
        self._policy = agent.errors.decode
        self._failures = failures

    async def decode(self, messages: Sequence[Message], out: list[Outgoing]) -> list[Event[Any]]:
        """The events of the records that the agent takes; dead letters of what is no record are appended to ``out``.

        A message that was put back for another agent is passed over: this one had no trouble with it.
        Raises what the policy ``fail`` lets through, and ``RegistryError`` where no policy says to try again.
        """
        again = isinstance(self._policy, Retry)
        events: list[Event[Any]] = []
        for message in messages:
            if message.headers and _for_another(message, self._address):
                continue
            try:
                record = (
                    await while_away(self._policy, partial(self._record, message)) if again else self._record(message)
                )
            except StreamsError as error:
                self._failures.handle(final(self._policy, error), "decode", message, error, out)
                continue
            if record is None or isinstance(record, self._accepts):
                events.append(Event(message, record))
        return events

    def _record(self, message: Message) -> Record | None:
        if message.value is None and message.topic in self._tables:
            return None  # a tombstone: the table has the key no more
        record = self._codec.decode(self._topics[message.topic], message.value)
        if self._keyed:
            key_of(message, record)
        return record


def key_of(message: Message, record: Record | None) -> str:
    """The key of a record's state; raises ``DecodeError`` where it is no text, or is reserved, or there is none."""
    if message.key is None and record is None:
        raise DecodeError(f"topic {message.topic}: a message with neither key nor value")
    try:
        key = message.key.decode() if message.key is not None else record.key  # type: ignore[union-attr]
    except (UnicodeDecodeError, NotImplementedError) as error:
        raise DecodeError(f"topic {message.topic}: the key of the message: {error}") from error
    if key.startswith(RESERVED):
        raise DecodeError(f"topic {message.topic}: the key of the message begins with a zero byte")
    return key


def _for_another(message: Message, address: bytes) -> bool:
    return any(name == REPLAYED_FOR and value != address for name, value in message.headers)
