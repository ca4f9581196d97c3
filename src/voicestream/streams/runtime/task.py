"""An agent at work: messages in, encoded messages out. The same code in a worker and in the test driver."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from voicestream.streams.clock import now_ms
from voicestream.streams.errors import EncodeError
from voicestream.streams.message import Event, Keyed, Message, Outgoing, Result, TopicPartition
from voicestream.streams.middleware.base import Call
from voicestream.streams.middleware.retries import while_away
from voicestream.streams.operators.task import PipelineTask
from voicestream.streams.policies import BatchError, Retry, final, last
from voicestream.streams.record import Record
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.failures import Failures
from voicestream.streams.runtime.inputs import Inputs, key_of
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.stage import Agent, Processor, Punctuator
from voicestream.streams.state.store import Fence, State, Store
from voicestream.streams.topic import Topic

log = logging.getLogger(__name__)


class Outputs:
    """Encodes what an agent returns, for the topic that carries it."""

    def __init__(self, environment: Environment, owner: str, topics: Sequence[Topic[Any]]) -> None:
        self._environment = environment
        self._owner = owner
        self._topics = topics
        self._topic_of: dict[type, Topic[Any]] = {}

    def encode(self, result: Result, timestamp_ms: int) -> list[Outgoing]:
        """One message for each record; raises ``EncodeError`` for a record that no output topic carries."""
        return [self._message(item, timestamp_ms) for item in _items(result)]

    def _message(self, item: Record | Keyed, timestamp_ms: int) -> Outgoing:
        key, record = item if isinstance(item, Keyed) else (None, item)
        topic = self._topic_of.get(type(record)) or self._topic(type(record))
        value = self._environment.encode(self._owner, topic, record)
        return Outgoing(topic.name, (key if key is not None else record.key).encode(), value, timestamp_ms)

    def _topic(self, kind: type) -> Topic[Any]:
        topic = next((t for t in self._topics if issubclass(kind, t.types)), None)
        if topic is None:
            known = ", ".join(t.name for t in self._topics) or "none"
            raise EncodeError(f"{self._owner}: it returned a {kind.__name__}; its output topics are: {known}")
        return self._topic_of.setdefault(kind, topic)


class AgentTask:
    """One agent with its error policy, its middleware, its state and its fence."""

    def __init__(self, agent: Agent, environment: Environment) -> None:
        self.agent = agent
        self.processor: Processor | None = agent.processor() if agent.processor is not None else None
        self.failures = Failures(environment, agent.stage, agent.name)
        self._inputs = Inputs(environment, agent, self.failures)
        self._outputs = Outputs(environment, f"stage {agent.stage}, agent {agent.name}", agent.outputs)
        process = agent.errors.process
        self._around = environment.around(agent.middleware, process if self.processor is None else last(process))
        self._metrics = METRICS.of(agent.stage, agent.name)
        self._sent = 0

    @property
    def timed(self) -> bool:
        """Whether it wants to be told that time goes on."""
        return self.processor is not None

    def oldest_needed(self, topic: str, partition: int) -> int | None:
        """The offset from which a processor must read the partition again after a crash."""
        return self.processor.oldest_needed(topic, partition) if self.processor is not None else None

    def checkpointed(self) -> None:
        """What was saved in the agent's store is in its changelog."""
        if self.processor is not None:
            self.processor.checkpointed()

    def discard(self) -> None:
        """The partitions are taken away, and will be read again from what was committed."""
        if self.processor is not None:
            self.processor.discard()

    def recovered(self, tps: Sequence[TopicPartition]) -> None:
        """These partitions are assigned, and the store holds what its changelog has."""

    async def run(self, messages: Sequence[Message]) -> list[Outgoing]:
        """Process ``messages``, which are in order within each key.

        Raises what the policy ``fail`` lets through, and ``RegistryError`` where no policy says to try again.
        """
        out: list[Outgoing] = []
        events = await self._inputs.decode(messages, out)
        with self._metrics.batch(len(messages), len(events)):
            if self.processor is not None:
                await self._call(events, None, out, self.processor.process, events)
            elif self.agent.batch is not None:
                await self._run_batch(events, out)
            else:
                for event in events:
                    await self._run_one(event, out)
        self._metrics.sent(self._sent)  # once a batch: it takes a lock
        self._sent = 0
        return out

    async def punctuate(self, now: int) -> list[Outgoing]:
        """Let a processor do what time asks for."""
        if self.processor is None:
            return []
        try:
            return self._outputs.encode(await self.processor.punctuate(now), now)
        except Exception as error:
            if last(self.agent.errors.process) == "fail":
                raise
            log.error("stage %s, agent %s: punctuator: %s", self.agent.stage, self.agent.name, error, exc_info=error)
            return []

    async def _run_one(self, event: Event[Any], out: list[Outgoing]) -> None:
        assert self.agent.call is not None
        states = self._states([event])
        if states is None:
            await self._call([event], None, out, self.agent.call, event.record)
        elif states[0] is not None:
            await self._call([event], states, out, self.agent.call, event.record, states[0])

    async def _run_batch(self, events: list[Event[Any]], out: list[Outgoing]) -> None:
        assert self.agent.call is not None
        states = self._states(events)
        if states is not None:
            events = [event for event, state in zip(events, states, strict=True) if state is not None]
            states = [state for state in states if state is not None]
        if not events:
            return
        records = [event.record for event in events]
        arguments = (records,) if states is None else (records, states)
        if not await self._call(events, states, out, self.agent.call, *arguments):
            # One bad record must not take the others with it: find it by halves.
            middle = len(events) // 2
            await self._run_batch(events[:middle], out)
            await self._run_batch(events[middle:], out)

    async def _call(
        self,
        events: Sequence[Event[Any]],
        states: Sequence[State[Any] | None] | None,
        out: list[Outgoing],
        function: Callable[..., Awaitable[Result]],
        *arguments: Any,
    ) -> bool:
        """Make one call and keep what comes of it; false when a batch raised of which some records may be good."""
        call = Call(self.agent.stage, self.agent.name, events)
        policies = self.agent.errors

        async def proceed() -> list[Outgoing]:
            try:
                call.step = "process"
                try:
                    result = await function(*arguments)
                except BatchError as error:
                    call.failures, result = error.failures, error.results
                call.step = "produce"
                if isinstance(policies.produce, Retry):
                    return await while_away(policies.produce, partial(self._encode, result, events))
                return self._encode(result, events)
            except Exception:
                self._roll_back(states)
                raise

        try:
            sent = await self._around(call, proceed)
        except Exception as error:
            self._roll_back(states)  # a middleware may have raised after the agent returned
            if call.step == "process" and len(events) > 1 and self.processor is None:
                return False
            action = last(policies.process) if call.step == "process" else final(policies.produce, error)
            for event in events:
                self.failures.handle(action, call.step, event.message, error, out)
            return True
        for position, failure in call.failures.items():
            self.failures.handle(last(policies.process), "process", events[position].message, failure, out)
        self._save(events, states)
        self._sent += len(sent)
        out.extend(sent)
        return True

    def _encode(self, result: Result, events: Sequence[Event[Any]]) -> list[Outgoing]:
        times = [event.message.timestamp_ms for event in events]
        return self._outputs.encode(result, max(times) if times else now_ms())

    def _states(self, events: Sequence[Event[Any]]) -> list[State[Any] | None] | None:
        """The state of each event's key, ``None`` for an event that it has applied before; ``None``: no store."""
        store = self.agent.store
        if store is None:
            return None
        states: list[State[Any] | None] = []
        opened: dict[tuple[int, str], State[Any]] = {}
        for event in events:
            message = event.message
            entry = message.partition, key_of(message, event.record)
            state = opened.setdefault(entry, store.open(*entry))
            states.append(None if store.applied(state, message.topic, message.offset) else state)
        return states

    def _roll_back(self, states: Sequence[State[Any] | None] | None) -> None:
        for state in states or ():
            if self.agent.store is not None and state is not None:
                self.agent.store.roll_back(state)

    def _save(self, events: Sequence[Event[Any]], states: Sequence[State[Any] | None] | None) -> None:
        if self.agent.store is None or states is None:
            return
        if len(events) == 1:
            [event], [state] = events, states
            if state is not None:
                self.agent.store.save(state, {event.message.topic: event.message.offset})
            return
        applied: dict[int, Fence] = {}
        for event, state in zip(events, states, strict=True):
            applied.setdefault(id(state), {})[event.message.topic] = event.message.offset
        for state in {id(state): state for state in states}.values():
            if state is not None:
                self.agent.store.save(state, applied[id(state)])


Task = AgentTask | PipelineTask


def task_of(agent: Agent, environment: Environment) -> Task:
    """What runs ``agent``."""
    if agent.pipeline is not None:
        return PipelineTask(agent, agent.pipeline, environment)
    return AgentTask(agent, environment)


class PunctuatorTask:
    """Calls a punctuator for every key of its store that this worker owns."""

    def __init__(self, punctuator: Punctuator, environment: Environment) -> None:
        self.punctuator = punctuator
        self.failures = Failures(environment, punctuator.stage, punctuator.name)
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


def _items(result: Result) -> Iterable[Record | Keyed]:
    if result is None:
        return ()
    if isinstance(result, Record | Keyed):
        return (result,)
    return [item for item in result if item is not None]
