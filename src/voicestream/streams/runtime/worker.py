"""Stages on Faust: one ``faust.App`` whose worker, consumer group, assignor and producer are Faust's own.

What is ours is the path of a message. Faust makes an object, a queue entry and an acknowledgement of each; we take
what the consumer fetched of a partition in one go and hand it to the agents as a batch. What Faust's commit timer
commits is what our agents have finished. Plain Faust agents and tables of the same app work beside.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import faust
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import IllegalStateError
from aiokafka.protocol.group import JoinGroupRequest
from faust.transport.consumer import RecordMap
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

from voicestream.streams.errors import StreamsError, TopologyError
from voicestream.streams.message import Message, Outgoing, TopicPartition
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.global_tables import GlobalTables
from voicestream.streams.runtime.group import Group
from voicestream.streams.runtime.keeper import StateConfig, StoreKeeper
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.runtime.producer import BatchProducer, producer_options
from voicestream.streams.runtime.queries import QueryConfig, QueryServer
from voicestream.streams.runtime.repeated import limit_repeated
from voicestream.streams.runtime.runner import AgentRunner, run_punctuator
from voicestream.streams.runtime.task import PunctuatorTask
from voicestream.streams.runtime.work import Work
from voicestream.streams.stage import Stage
from voicestream.streams.topology.checks import check, refuse
from voicestream.streams.topology.model import all_topics

log = logging.getLogger(__name__)

FLUSH_TIMEOUT_S = 5.0  # of messages whose senders have been cancelled
FEW = 100  # records of a fetch
COMPANY_S = 0.004  # after a fetch of few, more may come: a fetch costs as much as the work on dozens of records
PAUSE_TIMEOUT_S = 5.0  # less than the shortest rebalance time-out, that of the embedded broker


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker must be told: ``broker`` is ``kafka://host:port[,host:port]``."""

    broker: str
    environment: Environment
    options: Mapping[str, Any]
    prepare: Callable[[Sequence[Stage]], Awaitable[None]]
    idempotent: bool = True
    """Whether the broker knows idempotent producers."""
    state: StateConfig = field(default_factory=StateConfig)
    queries: QueryConfig | None = None
    """Where queries of the stores are answered; ``None``: nowhere."""
    on_ready: Callable[[], None] = lambda: None
    expected_errors: tuple[type[Exception], ...] = (StreamsError,)
    """Errors whose message says all; of others the trace is logged too."""

    @property
    def bootstrap_servers(self) -> str:
        return urlsplit(self.broker).netloc


class StagesConsumer(FaustConsumer):
    """Faust's consumer; the messages of our stages leave it in batches, and their offsets are ours to commit."""

    stages: "Worker"

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 (Faust's signature)
    ) -> RecordMap:
        generation = self.app.consumer_generation_id
        records = dict(await super()._getmany(active_partitions, timeout))
        if not records or not self.flow_active:
            return records
        if generation != self.app.consumer_generation_id:
            # A rebalance overtook the fetch: it may have brought what the seek after the rebalance was to skip, or
            # what comes behind it. Either way all of it is fetched again.
            with suppress(IllegalStateError, AssertionError):  # no partition, or yet another rebalance, which seeks too
                await self.perform_seek()
            return {}
        ours = [tp for tp in records if tp.topic in self.stages.topics]
        fetched = 0
        for tp in ours:
            fetched += len(records[tp])
            self.stages.deliver(TopicPartition(tp.topic, tp.partition), records.pop(tp))
        if ours and not records:
            await asyncio.sleep(0 if fetched > FEW else COMPANY_S)
        return records

    async def perform_seek(self) -> None:
        """Seek to what is committed, and where nothing is, which Faust passes over, to the beginning."""
        await super().perform_seek()
        new = [tp for tp in self.assignment() if tp.topic in self.stages.topics and not self._committed_offset[tp]]
        if new:
            with suppress(IllegalStateError):  # another rebalance has come between, and seeks again
                await self._thread.seek_to_beginning(*(KafkaTopicPartition(*tp) for tp in new))

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp in self.stages.assigned:
            if topics is None or tp in topics or tp.topic in topics:
                yield TP(tp.topic, tp.partition)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.stages.topics:
            return super()._new_offset(tp)
        offset = self.stages.committable(TopicPartition(tp.topic, tp.partition))
        end = self.highwater(tp)
        if offset is not None and end is not None:
            METRICS.lag.labels(tp.topic, tp.partition).set(max(0, end - offset))
        return offset

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        if self._is_expelled():
            self.stages.discard()  # others have the partitions already: what is in work must not be sent any more
        await self.stages.pause()
        await self.commit()
        self.stages.discard()
        await super().on_partitions_revoked(revoked)

    def _is_expelled(self) -> bool:
        """Whether the group went on without us, as after a sleep longer than the session time-out."""
        coordinator = self._thread._ensure_consumer()._coordinator
        return bool(coordinator.member_id == JoinGroupRequest.UNKNOWN_MEMBER_ID)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.stages.discard()
        await super().on_partitions_assigned(assigned, generation_id)
        self.stages.assign(assigned)


class Worker:
    """The agents of some stages within one Faust app."""

    def __init__(self, name: str, stages: Sequence[Stage], config: WorkerConfig) -> None:
        self.app: faust.App = StagesApp(
            name,
            broker=config.broker,
            Worker=StagesWorker,
            value_serializer="raw",
            key_serializer="raw",
            **config.options,
        )
        self.app.stages = self
        self.assigned: set[TopicPartition] = set()
        self._config = config
        self._producer: BatchProducer | None = None
        self.stages = stages
        self._stores = {store.name: store for stage in stages for store in stage.stores.values()}
        options = {"bootstrap_servers": config.bootstrap_servers}
        self._keeper = StoreKeeper(name, stages, config.state, options)
        agents = [agent for stage in stages for agent in stage.agents]
        self._locks = _locks([[store.name for store in agent.stores] for agent in agents], self._stores)
        self._runners = [
            AgentRunner(
                agent, config.environment, self.send, self._locks[agent.stores[0].name] if agent.stores else None
            )
            for agent in agents
        ]
        self._globals = GlobalTables(stages, config.environment, self.send)
        self.topics = {topic for runner in self._runners for topic in runner.topics}
        self._full: set[TopicPartition] = set()
        self._opened = asyncio.Event()
        self._beside = Work()  # of punctuators, and of what removes entries
        self._tasks: list[asyncio.Task[None]] = []
        self._recovery: asyncio.Task[None] | None = None
        self._group = Group(self.app)
        self._queries = (
            QueryServer(self._group, stages, config.queries, self._opened.is_set)
            if config.queries is not None
            else None
        )

    async def start(self) -> None:
        """Run what the stages need first, subscribe, and start their loops."""
        limit_repeated()
        try:
            refuse(self._config.environment.codec.problems(all_topics(self.stages)))
            await self._config.prepare(self.stages)
            for stage in self.stages:
                for starter in stage.starters:
                    await starter()
            if self._queries is not None:
                await self._queries.start()
            self._group.introduce(self._queries.url if self._queries is not None else None)
        except Exception as error:
            log.critical(
                "the worker cannot start: %s", error, exc_info=not isinstance(error, self._config.expected_errors)
            )
            raise SystemExit(1) from error
        options = producer_options(self._config.bootstrap_servers, idempotent=self._config.idempotent)
        self._producer = BatchProducer(options)
        self._keeper.open()
        self._spawn(self._globals.follow({"bootstrap_servers": self._config.bootstrap_servers}))
        for expiry in self._keeper.expiries(self._locks, self._opened, self._beside, self.send):
            self._spawn(expiry)
        for topic in sorted(self.topics):
            self.app.topics.add(self.app.topic(topic, key_type=bytes, value_type=bytes))
        for runner in self._runners:
            for _ in range(runner.agent.concurrency):
                self._spawn(runner.loop())
            if runner.task.timed:
                self._spawn(runner.punctuate())
        for stage in self.stages:
            for punctuator in stage.punctuators:
                task = PunctuatorTask(punctuator, self._config.environment)
                lock = self._locks[punctuator.store.name]
                self._spawn(run_punctuator(task, lock, self._opened, self._beside, self.send))

    async def stop(self) -> None:
        """Finish what is in work and end the loops; the rest is for whoever gets the partitions."""
        if self._queries is not None:
            await self._queries.stop()
        await self.pause()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._producer is not None:
            await self._producer.stop(FLUSH_TIMEOUT_S)
        self._keeper.close()
        for stage in self.stages:
            for stopper in stage.stoppers:
                await stopper()

    async def send(self, messages: Iterable[Outgoing]) -> list[int]:
        """Send; the offsets, when the broker has all of it; raises ``SendError`` for messages that it refuses."""
        assert self._producer is not None, "the worker has been started"
        return await self._producer.send(messages)

    def deliver(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        """Hand the records that were fetched of a partition to every agent that takes its topic."""
        messages = [Message(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]
        for runner in self._runners:
            if tp.topic in runner.topics:
                runner.deliver(tp, messages)
                if runner.backlog(tp) > 1:
                    self._full.add(tp)
                    self.app.consumer.on_buffer_full(TP(*tp))

    def committable(self, tp: TopicPartition) -> int | None:
        """The offset that every agent of the topic has got to; lets fetching go on where it was paused."""
        if tp in self._full and all(r.backlog(tp) < 0.5 for r in self._runners):
            self._full.discard(tp)
            self.app.consumer.on_buffer_drop(TP(*tp))
        offsets = [r.committable(tp) for r in self._runners if tp.topic in r.topics]
        return None if any(o is None for o in offsets) else min((o for o in offsets if o is not None), default=None)

    async def pause(self) -> None:
        """Take nothing more, and wait for what is in work."""
        self._opened.clear()
        if self._recovery is not None:
            self._recovery.cancel()
        await asyncio.gather(*(runner.pause(PAUSE_TIMEOUT_S) for runner in self._runners))

    def discard(self) -> None:
        """Forget what is under way: the partitions will be read again from what was committed."""
        self.assigned = set()
        self._full.clear()
        METRICS.lag.clear()  # the partitions of others are not ours to report
        self._beside.call_off()
        for runner in self._runners:
            runner.discard()

    def assign(self, assigned: Iterable[TP]) -> None:
        """Take over partitions: recover their state, then let the agents go on."""
        self.assigned = {TopicPartition(tp.topic, tp.partition) for tp in assigned if tp.topic in self.topics}
        if self._recovery is not None:
            self._recovery.cancel()
        self._recovery = self._spawn(self._resume())

    async def _resume(self) -> None:
        for work in self._beside, *(runner.work for runner in self._runners):
            await work.idle()  # what was called off has not let go of the stores before
        await self._keeper.recover(self.assigned, self._group.partitions)
        await self._globals.ready.wait()
        self._opened.set()
        for runner in self._runners:
            runner.resume(self.assigned)
        self._config.on_ready()
        await self._keeper.keep_warm()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the worker stops: %s", error, exc_info=error)
            self._crash = asyncio.ensure_future(self.app.crash(error))


def _locks(together: Iterable[Sequence[str]], names: Iterable[str]) -> dict[str, asyncio.Lock]:
    """A lock for each store; stores that an agent changes together have the same."""
    locks = {name: asyncio.Lock() for name in names}
    for first, *others in filter(None, together):
        replaced = {id(locks[name]) for name in others}
        locks = {name: locks[first] if id(lock) in replaced else lock for name, lock in locks.items()}
    return locks


class StagesWorker(faust.Worker):
    """A worker without Faust's web server: all workers of a machine would want its port, on every interface."""

    def __init__(self, app: faust.App, *args: Any, **options: Any) -> None:
        app.conf.web_enabled = False  # the command line has just set it
        super().__init__(app, *args, **options)
        self.spinner = None  # it would have every debug message of aiokafka made, a dozen a fetch, to spin for each


class StagesApp(faust.App):
    """A Faust app that runs stages."""

    stages: Worker

    def _new_consumer(self) -> StagesConsumer:
        consumer = StagesConsumer(
            self.transport,
            callback=self.topics.on_message,
            on_partitions_revoked=self._on_partitions_revoked,
            on_partitions_assigned=self._on_partitions_assigned,
            beacon=self.beacon,
        )
        consumer.stages = self.stages
        return consumer

    async def on_first_start(self) -> None:
        self.conf.datadir.mkdir(parents=True, exist_ok=True)  # Faust makes the last folder of the path only
        await super().on_first_start()

    async def on_start(self) -> None:
        await self.stages.start()
        await super().on_start()

    async def on_stop(self) -> None:
        await self.stages.stop()
        await super().on_stop()


def stages_app(name: str, stages: Sequence[Stage], config: WorkerConfig) -> faust.App:
    """A Faust app that runs ``stages`` as the consumer group ``name``; ``faust -A MODULE worker`` starts it."""
    if not any(stage.agents for stage in stages):
        raise TopologyError(f"app {name}: no stage of it has an agent")
    check(stages)
    return Worker(name, stages, config).app
