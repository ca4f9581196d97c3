"""Stages without a broker: the same agents, state, fences, error policies and codec as in a worker, in milliseconds."""

import asyncio
import contextvars
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from voicestream.streams.clock import use_clock
from voicestream.streams.codec import Codec
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.environment import Environment
from voicestream.streams.message import Message, Outgoing
from voicestream.streams.record import Record
from voicestream.streams.runner import changelog_topic
from voicestream.streams.stage import Stage
from voicestream.streams.state import Store
from voicestream.streams.task import AgentTask, PunctuatorTask
from voicestream.streams.topic import Topic

R = TypeVar("R", bound=Record)


class DrivenTopic(Generic[R]):
    """One topic of the driver: send to it, read what the stages sent."""

    def __init__(self, driver: "TopologyTestDriver", topic: Topic[R]) -> None:
        self._driver = driver
        self._topic = topic
        self._read = 0

    def send(self, *records: R, key: str | None = None) -> None:
        """Put records on the topic; returns when the stages have done all that follows from them."""
        self._driver._send(
            [
                Outgoing(
                    self._topic.name,
                    (key if key is not None else record.key).encode(),
                    self._driver._environment.codec.encode(self._topic, record),
                    self._driver.now_ms,
                )
                for record in records
            ]
        )

    def send_raw(self, value: bytes | None, key: str = "") -> None:
        """Put any bytes on the topic."""
        self._driver._send([Outgoing(self._topic.name, key.encode(), value, self._driver.now_ms)])

    def read(self) -> R:
        """The next record that a stage sent; raises ``LookupError`` when there is none."""
        records = self._records()
        if self._read >= len(records):
            raise LookupError(f"nothing (more) was sent to {self._topic.name}")
        self._read += 1
        return records[self._read - 1]

    def read_all(self) -> list[R]:
        """All records that stages sent and that were not read yet."""
        records = self._records()[self._read :]
        self._read += len(records)
        return records

    def __iter__(self) -> Iterator[R]:
        return iter(self.read_all())

    def _records(self) -> list[R]:
        codec = self._driver._environment.codec
        return [codec.decode(self._topic, value) for value in self._driver._sent[self._topic.name]]  # type: ignore[misc]


class TopologyTestDriver:
    """Runs stages on topics of one partition in memory. Use it as a context manager.

    Time stands still until ``advance`` moves it; then punctuators fire.
    """

    def __init__(
        self,
        *stages: Stage,
        codec: Codec,
        dead_letters: Topic[DeadLetter | LetterReplay],
        start_ms: int = 1_700_000_000_000,
    ) -> None:
        self.now_ms = start_ms
        self._environment = Environment(codec, dead_letters)
        self._stages = stages
        self._log: dict[str, list[Message]] = defaultdict(list)
        self._sent: dict[str, list[bytes | None]] = defaultdict(list)
        self._topics: dict[str, DrivenTopic[Any]] = {}
        self._context = contextvars.copy_context()
        self._context.run(use_clock, lambda: self.now_ms)
        self._runner = asyncio.Runner()
        self._new_tasks()

    def __enter__(self) -> Self:
        for store in self._stores():
            store.drop()
        try:
            for stage in self._stages:
                for starter in stage.starters:
                    self._run(starter())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()
        for store in self._stores():
            store.drop()

    def topic(self, topic: Topic[R]) -> DrivenTopic[R]:
        """A topic to send to or to read from; reading goes on where it was."""
        return self._topics.setdefault(topic.name, DrivenTopic(self, topic))

    def advance(self, ms: int, step_ms: int = 500) -> None:
        """Move the clock by ``ms``, in steps of at most ``step_ms``, and let punctuators fire."""
        end = self.now_ms + ms
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + step_ms)
            self._run(self._punctuate())

    def restart(self, replay: int = 0) -> None:
        """What a kill does: memory is lost, state comes back from the changelogs, and of every input topic the last
        ``replay`` messages, which were not committed, are read again."""
        for store in self._stores():
            store.drop()
            for message in self._log[changelog_topic(store)]:
                store.restore(0, (message.key or b"").decode(), message.value)
        self._new_tasks(replay)
        self._run(self._drain())

    def committable(self, topic: Topic[Any]) -> int:
        """The offset up to which a worker would have committed ``topic``: how far its agents need it no more."""
        ends = []
        for task, read in zip(self._tasks, self._read, strict=True):
            if topic.name in read:
                held = task.processor.oldest_needed(topic.name, 0) if task.processor is not None else None
                ends.append(read[topic.name] if held is None else held)
        return min(ends)

    def _new_tasks(self, replay: int = 0) -> None:
        self._tasks = [AgentTask(agent, self._environment) for stage in self._stages for agent in stage.agents]
        self._read = [
            {topic.name: max(0, len(self._log[topic.name]) - replay) for topic in task.agent.inputs}
            for task in self._tasks
        ]
        self._punctuators = [
            PunctuatorTask(punctuator, self._environment) for stage in self._stages for punctuator in stage.punctuators
        ]
        self._fired_ms = [self.now_ms] * len(self._punctuators)

    def _stores(self) -> list[Store[Any]]:
        return [store for stage in self._stages for store in stage.stores.values()]

    def _stop(self) -> None:
        try:
            for stage in self._stages:
                for stopper in stage.stoppers:
                    self._run(stopper())
        finally:
            self._runner.close()

    def _run(self, work: Any) -> Any:
        return self._runner.run(work, context=self._context)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        self._append(messages)
        self._run(self._drain())

    def _append(self, messages: Sequence[Outgoing]) -> None:
        for m in messages:
            log = self._log[m.topic]
            log.append(Message(m.topic, 0, len(log), m.timestamp_ms, m.key, m.value, m.headers))

    def _emit(self, messages: Sequence[Outgoing], store: Store[Any] | None) -> None:
        for message in messages:
            self._sent[message.topic].append(message.value)
        self._append(messages)
        if store is not None:
            self._append(
                [
                    Outgoing(changelog_topic(store), key.encode(), value, self.now_ms)
                    for _, key, value in store.take_changes()
                ]
            )

    async def _drain(self) -> None:
        busy = True
        while busy:
            busy = False
            for task, read in zip(self._tasks, self._read, strict=True):
                limit = task.agent.batch.max_size if task.agent.batch is not None else 1
                for topic in read:
                    while messages := self._log[topic][read[topic] : read[topic] + limit]:
                        read[topic] += len(messages)
                        self._emit(await task.run(messages), task.agent.store)
                        if task.processor is not None:
                            task.processor.checkpointed()
                        busy = True

    async def _punctuate(self) -> None:
        for agent in self._tasks:
            self._emit(await agent.punctuate(self.now_ms), agent.agent.store)
            if agent.processor is not None:
                agent.processor.checkpointed()
        for index, task in enumerate(self._punctuators):
            if self.now_ms - self._fired_ms[index] >= task.punctuator.every_ms:
                self._fired_ms[index] = self.now_ms
                self._emit(await task.run(self.now_ms), task.punctuator.store)
        await self._drain()
