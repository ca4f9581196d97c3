"""An agent at work: messages in, encoded messages out. The same code in a worker and in the test driver."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from voicestream.streams.clock import now_ms
from voicestream.streams.environment import Environment
from voicestream.streams.errors import DecodeError, EncodeError
from voicestream.streams.failures import Failures
from voicestream.streams.message import MAX_VALUE_BYTES, Event, Keyed, Message, Outgoing, Result
from voicestream.streams.metrics import METRICS
from voicestream.streams.policies import BatchError, Retry, last, retries
from voicestream.streams.record import Record
from voicestream.streams.stage import Agent, Processor, Punctuator
from voicestream.streams.state import Fence, State, Store
from voicestream.streams.topic import Topic

log = logging.getLogger(__name__)


class Outputs:
    """Encodes what an agent returns, for the topic that carries it."""

    def __init__(self, environment: Environment, owner: str, topics: Sequence[Topic[Any]]) -> None:
        self._codec = environment.codec
        self._owner = owner
        self._topics = topics

    def encode(self, result: Result, timestamp_ms: int) -> list[Outgoing]:
        """One message for each record; raises ``EncodeError`` for a record that no output topic carries."""
        return [self._message(item, timestamp_ms) for item in _items(result)]

    def _message(self, item: Record | Keyed, timestamp_ms: int) -> Outgoing:
        key, record = item if isinstance(item, Keyed) else (None, item)
        topic = next((t for t in self._topics if isinstance(record, t.types)), None)
        if topic is None:
            known = ", ".join(t.name for t in self._topics) or "none"
            raise EncodeError(f"{self._owner}: it returned a {type(record).__name__}; its output topics are: {known}")
        value = self._codec.encode(topic, record)
        if len(value) > MAX_VALUE_BYTES:
            raise EncodeError(
                f"{self._owner}: a {type(record).__name__} of {len(value)} bytes: topic {topic.name} takes at most "
                f"{MAX_VALUE_BYTES} bytes"
            )
        return Outgoing(topic.name, (key if key is not None else record.key).encode(), value, timestamp_ms)


class AgentTask:
    """One agent with its error policy, its state and its fence."""

    def __init__(self, agent: Agent, environment: Environment) -> None:
        self.agent = agent
        self.processor: Processor | None = agent.processor() if agent.processor is not None else None
        self._environment = environment
        self._inputs = {topic.name: topic for topic in agent.inputs}
        self._outputs = Outputs(environment, f"stage {agent.stage}, agent {agent.name}", agent.outputs)
        self.failures = Failures(environment, agent.stage, agent.name)
        self._metrics = METRICS.of(agent.stage, agent.name)

    async def run(self, messages: Sequence[Message]) -> list[Outgoing]:
        """Process ``messages``, which are in order within each key; nothing raises but the policy ``fail``."""
        out: list[Outgoing] = []
        events = self._decode(messages, out)
        with self._metrics.batch(len(messages), len(events)):
            if self.processor is not None:
                await self._run_events(events, out)
            elif self.agent.batch is not None:
                await self._run_batch(events, out)
            else:
                for event in events:
                    await self._run_one(event, out)
        return out

    async def punctuate(self, now: int) -> list[Outgoing]:
        """Let a processor do what time asks for."""
        if self.processor is None:
            return []
        try:
            return self._outputs.encode(await self.processor.punctuate(now), now)
        except Exception as error:
            if self.agent.errors.process == "fail":
                raise
            log.error("stage %s, agent %s: punctuator: %s", self.agent.stage, self.agent.name, error, exc_info=error)
            return []

    def _decode(self, messages: Sequence[Message], out: list[Outgoing]) -> list[Event[Any]]:
        events = []
        for message in messages:
            try:
                record = self._environment.codec.decode(self._inputs[message.topic], message.value)
                if self.agent.store is not None:
                    _key(message, record)
            except DecodeError as error:
                self.failures.handle(last(self.agent.errors.decode), "decode", message, error, out)
                continue
            if isinstance(record, self.agent.accepts):
                events.append(Event(message, record))
        return events

    async def _run_one(self, event: Event[Any], out: list[Outgoing]) -> None:
        assert self.agent.call is not None
        states = self._states([event])
        if states is not None and states[0] is None:
            return
        tries = 0
        while True:
            try:
                result = await (self.agent.call(event.record, *states) if states else self.agent.call(event.record))
                break
            except Exception as error:
                self._roll_back(states)
                if tries == retries(self.agent.errors.process):
                    self.failures.handle(last(self.agent.errors.process), "process", event.message, error, out)
                    return
                await self._back_off(tries)
                tries += 1
        self._finish(result, [event], states, out)

    async def _back_off(self, tried: int) -> None:
        if isinstance(self.agent.errors.process, Retry):
            await asyncio.sleep(self.agent.errors.process.delay_s(tried))

    async def _run_batch(self, events: list[Event[Any]], out: list[Outgoing]) -> None:
        assert self.agent.call is not None
        states = self._states(events)
        if states is not None:
            events = [event for event, state in zip(events, states, strict=True) if state is not None]
            states = [state for state in states if state is not None]
        tries = 0
        while events:
            records = [event.record for event in events]
            try:
                result = await (self.agent.call(records, states) if states is not None else self.agent.call(records))
            except BatchError as error:
                for position, failure in error.failures.items():
                    self.failures.handle(
                        last(self.agent.errors.process), "process", events[position].message, failure, out
                    )
                self._finish(error.results, events, states, out)
                return
            except Exception as error:
                self._roll_back(states)
                if tries < retries(self.agent.errors.process):
                    await self._back_off(tries)
                    tries += 1
                elif len(events) == 1:
                    self.failures.handle(last(self.agent.errors.process), "process", events[0].message, error, out)
                    return
                else:
                    # One bad record must not take the others with it: find it by halves.
                    middle = len(events) // 2
                    await self._run_batch(events[:middle], out)
                    await self._run_batch(events[middle:], out)
                    return
            else:
                self._finish(result, events, states, out)
                return

    async def _run_events(self, events: list[Event[Any]], out: list[Outgoing]) -> None:
        assert self.processor is not None
        try:
            self._finish(await self.processor.process(events), events, None, out)
        except BatchError as error:
            for position, failure in error.failures.items():
                self.failures.handle(last(self.agent.errors.process), "process", events[position].message, failure, out)
            self._finish(error.results, events, None, out)
        except Exception as error:  # a fault of the program, but it must not stop the worker
            for event in events:
                self.failures.handle(last(self.agent.errors.process), "process", event.message, error, out)

    def _states(self, events: Sequence[Event[Any]]) -> list[State[Any] | None] | None:
        """The state of each event's key, ``None`` for an event that it has applied before; ``None``: no store."""
        store = self.agent.store
        if store is None:
            return None
        states: list[State[Any] | None] = []
        opened: dict[tuple[int, str], State[Any]] = {}
        for event in events:
            message = event.message
            entry = message.partition, _key(message, event.record)
            state = opened.setdefault(entry, store.open(*entry))
            states.append(None if store.applied(state, message.topic, message.offset) else state)
        return states

    def _roll_back(self, states: Sequence[State[Any] | None] | None) -> None:
        for state in states or ():
            if self.agent.store is not None and state is not None:
                self.agent.store.roll_back(state)

    def _finish(
        self,
        result: Result,
        events: Sequence[Event[Any]],
        states: Sequence[State[Any] | None] | None,
        out: list[Outgoing],
    ) -> None:
        if not self._produce(result, events, out):
            self._roll_back(states)
            return
        if self.agent.store is None or states is None:
            return
        applied: dict[int, Fence] = {}
        for event, state in zip(events, states, strict=True):
            applied.setdefault(id(state), {})[event.message.topic] = event.message.offset
        for state in {id(state): state for state in states}.values():
            if state is not None:
                self.agent.store.save(state, applied[id(state)])

    def _produce(self, result: Result, events: Sequence[Event[Any]], out: list[Outgoing]) -> bool:
        timestamp = max((event.message.timestamp_ms for event in events), default=now_ms())
        try:
            messages = self._outputs.encode(result, timestamp)
        except EncodeError as error:
            for event in events:
                self.failures.handle(last(self.agent.errors.produce), "produce", event.message, error, out)
            return False
        self._metrics.sent(len(messages))
        out.extend(messages)
        return True


class PunctuatorTask:
    """Calls a punctuator for every key of its store that this worker owns."""

    def __init__(self, punctuator: Punctuator, environment: Environment) -> None:
        self.punctuator = punctuator
        self._outputs = Outputs(
            environment, f"stage {punctuator.stage}, punctuator {punctuator.name}", punctuator.outputs
        )

    async def run(self, now: int) -> list[Outgoing]:
        """Whatever the punctuator returned for any key; an error of one key is logged and leaves that key as it was."""
        out: list[Outgoing] = []
        store: Store[Any] = self.punctuator.store
        for partition, key in store:
            state = store.open(partition, key)
            try:
                messages = self._outputs.encode(await self.punctuator.call(now, state), now)
            except Exception as error:
                store.roll_back(state)
                log.error("stage %s, punctuator %s, key %s: %s", self.punctuator.stage, self.punctuator.name, key,
                          error, exc_info=error)  # fmt: skip
            else:
                out.extend(messages)
                store.save(state)
        return out


def _key(message: Message, record: Record) -> str:
    """The key of a record's state; raises ``DecodeError`` where the message has one that is no text."""
    try:
        return message.key.decode() if message.key is not None else record.key
    except (UnicodeDecodeError, NotImplementedError) as error:
        raise DecodeError(f"topic {message.topic}: the key of the message: {error}") from error


def _items(result: Result) -> Iterable[Record | Keyed]:
    if result is None:
        return ()
    if isinstance(result, Record | Keyed):
        return (result,)
    return [item for item in result if item is not None]
