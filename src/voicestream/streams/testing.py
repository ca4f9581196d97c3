"""Stages without a broker: the same agents, state, fences, error policies and codec as in a worker, in milliseconds."""

import asyncio
import contextvars
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from voicestream.streams.avro.codec import Codec
from voicestream.streams.clock import use_clock
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.message import Message, Outgoing, TopicPartition
from voicestream.streams.record import Record
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.runner import changelog_topic
from voicestream.streams.runtime.task import PunctuatorTask, task_of
from voicestream.streams.stage import Stage
from voicestream.streams.state.entries import checksum
from voicestream.streams.state.rocks import Position
from voicestream.streams.state.store import Backend, Change, Store
from voicestream.streams.table import GlobalTable
from voicestream.streams.topic import Topic
from voicestream.streams.topology.checks import check, refuse
from voicestream.streams.topology.model import all_topics

R = TypeVar("R", bound=Record)


class WorkerKilled(Exception):
    """The workers of a driver have died, where ``kill_after`` wanted it."""


class DrivenTopic(Generic[R]):
    """One topic of the driver: send to it, read what the stages sent."""

    def __init__(self, driver: "TopologyTestDriver", topic: Topic[R]) -> None:
        self._driver = driver
        self._topic = topic
        self._read = 0

    def send(self, *records: R, key: str | None = None, at_ms: int | None = None) -> None:
        """Put records on the topic; returns when the stages have done all that follows from them.

        ``at_ms`` is the time of the messages, now unless given. Raises ``WorkerKilled`` where ``kill_after`` says so.
        """
        self._driver._send([self._message(record, key, at_ms) for record in records])

    def delete(self, key: str, at_ms: int | None = None) -> None:
        """Put a tombstone on the topic: a table has ``key`` no more."""
        at_ms = self._driver.now_ms if at_ms is None else at_ms
        self._driver._send([Outgoing(self._topic.name, key.encode(), None, at_ms)])

    def _message(self, record: R, key: str | None, at_ms: int | None) -> Outgoing:
        return Outgoing(
            self._topic.name,
            (key if key is not None else record.key).encode(),
            self._driver._environment.codec.encode(self._topic, record),
            self._driver.now_ms if at_ms is None else at_ms,
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
        return [
            codec.decode(self._topic, value)  # type: ignore[misc]
            for value in self._driver._sent[self._topic.name]
            if value is not None
        ]


class TopologyTestDriver:
    """Runs stages on topics of one partition in memory. Use it as a context manager.

    Time stands still until ``advance`` moves it; then punctuators fire. ``state`` is where stores are kept that do not
    say it themselves, as in a worker; RocksDB's files are in a folder that goes with the driver. Raises
    ``TopologyError`` for stages that do not fit together, and for records without a schema.
    """

    def __init__(
        self,
        *stages: Stage,
        codec: Codec,
        dead_letters: Topic[DeadLetter | LetterReplay],
        start_ms: int = 1_700_000_000_000,
        state: Backend = "memory",
    ) -> None:
        check(stages)
        refuse(codec.problems(all_topics(stages)))
        self.now_ms = start_ms
        self._environment = Environment(codec, dead_letters)
        self._stages = stages
        self._log: dict[str, list[Message]] = defaultdict(list)
        self._sent: dict[str, list[bytes | None]] = defaultdict(list)
        self._topics: dict[str, DrivenTopic[Any]] = {}
        self._context = contextvars.copy_context()
        self._context.run(use_clock, lambda: self.now_ms)
        self._runner = asyncio.Runner()
        self._read: list[dict[str, int]] = []
        self._until_kill: int | None = None
        self._backend = state
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        if any((store.backend or self._backend) == "rocksdb" for store in self._stores()):
            self._folder = tempfile.TemporaryDirectory(prefix="voicestream-")
        for store in self._stores():
            store.drop()
            on_disk = self._folder is not None and (store.backend or self._backend) == "rocksdb"
            store.place(Path(self._folder.name) / store.name if self._folder is not None and on_disk else None)
            store.assign([0])
        for table in self._global_tables():
            table.clear()
        self._new_tasks()
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

    def topic(self, topic: Topic[R]) -> DrivenTopic[R]:
        """A topic to send to or to read from; reading goes on where it was."""
        return self._topics.setdefault(topic.name, DrivenTopic(self, topic))

    def advance(self, ms: int, step_ms: int = 500) -> None:
        """Move the clock by ``ms``, in steps of at most ``step_ms``, and let punctuators fire."""
        end = self.now_ms + ms
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + step_ms)
            self._run(self._punctuate())

    def kill_after(self, messages: int) -> None:
        """Let the workers die when so many more messages were written to topics and changelogs: ``send`` or ``advance``
        then raises ``WorkerKilled``, and ``restart`` goes on."""
        self._until_kill = messages

    def restart(self, replay: int = 0) -> None:
        """What a kill does: memory is lost, state comes back from the changelogs, and of every input topic the last
        ``replay`` messages that were done, and not committed, are read again."""
        self._until_kill = None
        for store in self._stores():
            store.close()
            store.assign([0])
            self._restore(store)
        self._new_tasks(replay)
        self._run(self._drain())

    def committable(self, topic: Topic[Any]) -> int:
        """The offset up to which a worker would have committed ``topic``: how far its agents need it no more."""
        ends = []
        for task, read in zip(self._tasks, self._read, strict=True):
            if topic.name in read:
                held = task.oldest_needed(topic.name, 0)
                ends.append(read[topic.name] if held is None else held)
        return min(ends)

    def _restore(self, store: Store[Any]) -> None:
        """Read what the changelog has behind what the store knows."""
        log = self._log[changelog_topic(store)]
        for message in log[store.position(0).offset :]:
            store.restore(0, (message.key or b"").decode(), message.value)
        if log:
            last = log[-1]
            position = Position(len(log), checksum((last.key or b"").decode(), last.value))
            store.restored(0, position, len(log))

    def _new_tasks(self, replay: int = 0) -> None:
        done = self._read
        self._tasks = [task_of(agent, self._environment) for stage in self._stages for agent in stage.agents]
        self._read = [
            {topic.name: max(0, read.get(topic.name, 0) - replay) for topic in task.agent.inputs}
            for task, read in zip(self._tasks, done or [{} for _ in self._tasks], strict=True)
        ]
        for task in self._tasks:
            self._context.run(task.recovered, [TopicPartition(topic.name, 0) for topic in task.agent.inputs])
        self._punctuators = [
            PunctuatorTask(punctuator, self._environment) for stage in self._stages for punctuator in stage.punctuators
        ]
        self._fired_ms = [self.now_ms] * len(self._punctuators)

    def _stores(self) -> list[Store[Any]]:
        return [store for stage in self._stages for store in stage.stores.values()]

    def _global_tables(self) -> list[GlobalTable[Any]]:
        return [table for stage in self._stages for table in stage.global_tables]

    def _stop(self) -> None:
        try:
            for stage in self._stages:
                for stopper in stage.stoppers:
                    self._run(stopper())
        finally:
            self._runner.close()
            for store in self._stores():
                store.drop()
                store.place(None)
            if self._folder is not None:
                self._folder.cleanup()

    def _run(self, work: Any) -> Any:
        return self._runner.run(work, context=self._context)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            self._append(message)
        self._run(self._drain())

    def _append(self, m: Outgoing) -> None:
        log = self._log[m.topic]
        log.append(Message(m.topic, 0, len(log), m.timestamp_ms, m.key, m.value, m.headers))
        for table in self._global_tables():
            if table.topic.name == m.topic and m.key is not None:
                record = None if m.value is None else self._environment.codec.decode(table.topic, m.value)
                table.put(m.key.decode(), record)

    def _emit(self, messages: Sequence[Outgoing], stores: Iterable[Store[Any]]) -> None:
        """What a worker does when a run is over: outputs, then the changelogs."""
        for message in messages:
            self._die_if_due()
            self._sent[message.topic].append(message.value)
            self._append(message)
        for store in stores:
            self._write(store, store.take_changes())

    def _write(self, store: Store[Any], changes: Sequence[Change]) -> None:
        store.check(changes)
        topic, generation = changelog_topic(store), store.generation
        offsets = []
        for _, key, value in changes:
            self._die_if_due()
            offsets.append(len(self._log[topic]))
            self._append(Outgoing(topic, key.encode(), value, self.now_ms))
        store.settle(changes, offsets, generation)

    def _die_if_due(self) -> None:
        if self._until_kill is not None:
            self._until_kill -= 1
            if self._until_kill < 0:
                raise WorkerKilled("the workers have died, as kill_after said")

    async def _drain(self) -> None:
        busy = True
        while busy:
            busy = False
            for task, read in zip(self._tasks, self._read, strict=True):
                limit = task.agent.batch.max_size if task.agent.batch is not None else 500
                if task.agent.pipeline is None and task.agent.batch is None:
                    limit = 1
                for topic in read:
                    while messages := self._log[topic][read[topic] : read[topic] + limit]:
                        self._emit(await task.run(messages), task.agent.stores)
                        read[topic] += len(messages)
                        task.checkpointed()
                        busy = True

    async def _punctuate(self) -> None:
        for agent in self._tasks:
            self._emit(await agent.punctuate(self.now_ms), agent.agent.stores)
            agent.checkpointed()
        for index, task in enumerate(self._punctuators):
            if self.now_ms - self._fired_ms[index] >= task.punctuator.every_ms:
                self._fired_ms[index] = self.now_ms
                self._emit(await task.run(self.now_ms), (task.punctuator.store,))
        for store in self._stores():
            for stale in store.stale(self.now_ms):
                store.expire(stale, self.now_ms)
            self._emit((), (store,))
        await self._drain()
