"""A pipeline at work: messages in, encoded messages out, and its stores changed as in one transaction.

A message that fails anywhere is set aside by the error policy, with nothing of it done: if it may have changed a store,
the stores are put back and the run is made again without it. So functions may be called again for a record of a run in
which another one failed.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from voicestream.streams.clock import now_ms
from voicestream.streams.errors import DecodeError, RegistryError
from voicestream.streams.message import Event, Message, Outgoing, TopicPartition
from voicestream.streams.middleware.base import Call
from voicestream.streams.operators.node import CLOCK, Item, Node, Run
from voicestream.streams.operators.pipeline import Pipeline
from voicestream.streams.operators.sink import To, position_of
from voicestream.streams.operators.source import BEGINNING, EventTime, Source
from voicestream.streams.policies import Action, Retry, Step, final, last
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.failures import NOWHERE, Failures
from voicestream.streams.runtime.inputs import Inputs, key_of
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.stage import Agent

log = logging.getLogger(__name__)

_YEAR_10000 = 253_402_300_800_000  # in ms since 1970


class PipelineTask:
    """One pipeline with its error policy, its stores and its event time."""

    def __init__(self, agent: Agent, pipeline: Pipeline, environment: Environment) -> None:
        self.agent = agent
        self.failures = Failures(environment, agent.stage, agent.name)
        self._pipeline = pipeline
        self._sources: dict[str, Source] = {source.topic.name: source for source in pipeline.sources}
        self._inputs = Inputs(environment, agent, self.failures)
        self._around = environment.around(agent.middleware, last(agent.errors.process))
        self._metrics = METRICS.of(agent.stage, agent.name)
        self._time = EventTime(pipeline.sources)
        self._ready: list[Outgoing] = []  # what time brought forth, to be sent with the next messages
        self._stateful: list[Node] = [node for node in pipeline.nodes if node.store is not None]
        sinks = [node for node in pipeline.nodes if isinstance(node, To)]
        for sink in sinks:
            sink.bind(environment, f"{agent.stage}.{agent.name}")
        # Whether it matters where messages are from.
        self._positioned = bool(self._stateful) or any(sink.traced for sink in sinks)

    @property
    def timed(self) -> bool:
        """Whether the task wants to be told that time goes on."""
        return bool(self._stateful)

    async def run(self, messages: Sequence[Message]) -> list[Outgoing]:
        """Process ``messages``, which are in order within each partition."""
        out: list[Outgoing] = []
        events = await self._inputs.decode(messages, out)
        if len(self._sources) > 1:
            events = _by_time(events)
        with self._metrics.batch(len(messages), len(events)):
            if events:
                call = Call(self.agent.stage, self.agent.name, events)
                out += await self._around(call, lambda: self._proceed(call))
        self._metrics.sent(len(out))
        return out

    async def punctuate(self, now: int) -> list[Outgoing]:
        """Let event time go on where no record drives it, and punctuators fire."""
        await self._catch_up(now)
        out, self._ready = self._ready, []
        self._time.begin()
        try:
            self._look_ahead(now)
            run = Run((), now)
            for node in self._pipeline.nodes:
                await node.tick(run)
            self._settle(run, {}, (), out)
        except BaseException:
            self._undo()
            raise
        return out

    async def _catch_up(self, now: int) -> None:
        """Do what is due at the event time that the changelogs have.

        The clock drives event time in two steps, so that a replay closes the same windows at the same time. How far it
        has got is noted in every store first; then a message of the clock stands for it: what a store has applied, and
        what was sent, is known by it as by a message of a topic.
        """
        known = self._time.watermarks
        due = [p for p in self._time.partitions() if self._due(p, known.get(p, BEGINNING))]
        if not due:
            return
        run = Run([Message(CLOCK, partition, known[partition], known[partition], None, None) for partition in due], now)
        run.positions = [position_of(message) for message in run.messages]
        self._time.begin()
        try:
            for number, tick in enumerate(run.messages):
                for node in self._pipeline.nodes:
                    await node.advance(tick.partition, tick.offset, ~number, run)
            self._settle(run, {}, (), self._ready)
        except BaseException:
            self._undo()
            raise

    def _look_ahead(self, now: int) -> None:
        """Note how far the clock has driven event time, where something will be due by it."""
        for partition in self._time.partitions():
            ahead_ms = self._time.ahead(partition, now)
            if ahead_ms > self._time.watermarks.get(partition, BEGINNING) and self._due(partition, ahead_ms):
                self._time.advance(partition, ahead_ms)
                for store in self._pipeline.stores:
                    store.touch_meta(partition)

    def _due(self, partition: int, watermark_ms: int) -> bool:
        return watermark_ms > BEGINNING and any(node.due(partition, watermark_ms) for node in self._pipeline.nodes)

    def oldest_needed(self, topic: str, partition: int) -> int | None:
        """A pipeline holds nothing back: what is open is in its stores."""
        return None

    def checkpointed(self) -> None:
        """What was saved is in the changelogs."""

    def discard(self) -> None:
        """The partitions are taken away."""

    def recovered(self, tps: Sequence[TopicPartition]) -> None:
        """These partitions are assigned, and the stores hold what their changelogs have."""
        self._ready = []  # of a run that was called off, and with it what the stores had of it
        ours = [tp for tp in tps if tp.topic in self._sources]
        partitions = sorted({tp.partition for tp in ours})
        now = now_ms()
        known: dict[int, dict[str, int]] = {}
        for partition in partitions:
            metas = [store.meta(partition).stream_ms for store in self._pipeline.stores]
            # Where a kill left one store behind, its records come again, and are not late; the others will refuse them.
            known[partition] = (
                {lane: min(meta[lane] for meta in metas) for lane in metas[0] if all(lane in meta for meta in metas)}
                if metas
                else {}
            )
        self._time.assign(ours, known, now)
        for node in self._pipeline.nodes:
            node.recovered(partitions, now)

    async def _proceed(self, call: Call) -> list[Outgoing]:
        """Run the events, again and again without those that fail, until the rest has gone through."""
        events = call.events
        if self._pipeline.exact:
            await self._catch_up(now_ms())
        self._time.begin()
        excluded: dict[int, tuple[Step, Exception]] = {}
        single: set[int] = set()
        tried = 0
        while True:
            run = Run([event.message for event in events], now_ms(), frozenset(single))
            if self._positioned:
                run.positions = [position_of(message) for message in run.messages]
            try:
                await self._feed(run, events, excluded)
            except BaseException:
                self._undo()
                raise
            again = self._retry(run, tried)
            if not (again or run.undo or run.suspects):
                break
            self._undo()
            single |= run.suspects
            if again:
                await asyncio.sleep(again.delay_s(tried))
                tried += 1
            else:
                excluded |= run.failed
        out: list[Outgoing] = []
        try:
            self._settle(run, excluded | run.failed, events, out)
        except BaseException:
            self._undo()
            raise
        call.failures = {number: error for number, (_, error) in (excluded | run.failed).items()}
        out, self._ready = self._ready + out, []
        return out

    def _retry(self, run: Run, tried: int) -> Retry | None:
        """The policy that asks for another try, if there is one."""
        errors = self.agent.errors
        for step, error in run.failed.values():
            policy = errors.process if step == "process" else errors.produce
            if not isinstance(policy, Retry) or not policy.allows(tried):
                continue
            if isinstance(error, policy.only if step == "process" else RegistryError):
                return policy
        return None

    async def _feed(self, run: Run, events: Sequence[Event[Any]], excluded: dict[int, tuple[Step, Exception]]) -> None:
        """Hand the events to their sources, in order, with what each knows of time."""
        pending: list[Item] = []
        current: Source | None = None
        seen: dict[tuple[str, int, str], tuple[int, int]] = {}
        done = self._done(run)
        for number, (message, record) in enumerate((event.message, event.record) for event in events):
            source = self._sources[message.topic]
            try:
                key = key_of(message, record)
                time_ms = self._time_of(source, message, record)
            except Exception as error:
                run.failed[number] = ("decode" if isinstance(error, DecodeError) else "process"), error
                continue
            origin = message.topic
            if run.positions and message.headers:
                origin, *at = run.positions[number]
                lane = message.topic, message.partition, origin
                if tuple(at) <= seen.get(lane, (-1, -1)):
                    continue  # a second copy, made by a replay, of what this run has taken
                seen[lane] = at[0], at[1]
            partition, before_ms = message.partition, self._time.watermarks.get(message.partition, BEGINNING)
            watermark_ms = self._time.heard(message.topic, partition, origin, time_ms, run.now_ms)
            if self._pipeline.exact and watermark_ms > before_ms and self._due(partition, watermark_ms):
                if current is not None and pending:
                    await current.process(pending, run)
                    pending = []
                for node in self._pipeline.nodes:  # what is due is due with this message, wherever runs are cut
                    await node.advance(partition, watermark_ms, ~number, run)
            if number in excluded or number in done:
                continue  # but its time counts
            if pending and (source is not current or self._pipeline.one_by_one):
                assert current is not None
                await current.process(pending, run)
                pending = []
            current = source
            pending.append(Item(key, record, time_ms, watermark_ms, partition, number))
        if current is not None and pending:
            await current.process(pending, run)

    def _done(self, run: Run) -> frozenset[int]:
        """The messages of which all is done: every store has applied them, so what came of them was sent before.

        A table that they were joined with may have gone on since.
        """
        stale = [run.stale(store) for store in self._pipeline.stores]
        return stale[0].intersection(*stale[1:]) if stale else frozenset()

    def _time_of(self, source: Source, message: Message, record: Any) -> int:
        """The event time of a record; raises what the extractor does, and ``ValueError`` for what is no time."""
        time_ms = source.time(record) if source.time is not None else message.timestamp_ms
        if self._stateful and not source.timeless and not 0 <= time_ms < _YEAR_10000:
            raise ValueError(
                f"the event time of the record is {time_ms}: it must be milliseconds since 1970, and before the year "
                "10000"
            )
        return int(time_ms)

    def _settle(
        self,
        run: Run,
        failed: dict[int, tuple[Step, Exception]],
        events: Sequence[Event[Any]],
        out: list[Outgoing],
    ) -> None:
        """Keep what the run has made, and do with what has failed as the policies say."""
        errors = self.agent.errors
        policies = {"decode": errors.decode, "process": errors.process, "produce": errors.produce}
        run.out.sort(key=lambda sent: sent[0])
        out += [message for number, blamed, message in run.out if not blamed or number not in failed]
        for number, (step, error) in sorted(failed.items()):
            action = last(errors.process) if step == "process" else final(policies[step], error)
            self.failures.handle(action, step, events[number].message, error, out)
        for item, step, error in run.orphans:
            self._orphan(last(policies[step]), item, step, error, out)
        for node in self._stateful:
            node.finish()
        if self._pipeline.stores:
            self._remember(run)
        for store in self._pipeline.stores:
            store.commit()

    def _remember(self, run: Run) -> None:
        """Note in every store what it has applied by now, and how far event time has got."""
        fences: dict[tuple[int, str], tuple[int, int]] = {}
        for message, (origin, *at) in zip(run.messages, run.positions, strict=True):
            fences[message.partition, origin] = max((at[0], at[1]), fences.get((message.partition, origin), (-1, 0)))
        for store in self._pipeline.stores:
            for (partition, origin), last_applied in fences.items():
                fence = store.meta(partition).fence
                fence[origin] = max(last_applied, fence.get(origin, last_applied))
            for partition in self._time.changed():
                store.meta(partition).stream_ms.update(self._time.remembered(partition))
            for partition in {message.partition for message in run.messages}:
                store.touch_meta(partition)  # whatever became of the messages, time went on

    def _orphan(self, action: Action, item: Item, step: Step, error: Exception, out: list[Outgoing]) -> None:
        """Set aside what came of no message, such as the result of a window: its text stands for its bytes."""
        place = f"{self.agent.stage}/{self.agent.name}"
        value = repr(item.value).encode()
        self.failures.handle(
            action, step, Message(place, item.partition, NOWHERE, item.time_ms, item.key.encode(), value), error, out
        )

    def _undo(self) -> None:
        self._time.undo()
        for store in self._pipeline.stores:
            store.abort()
        for node in self._pipeline.nodes:
            node.aborted()


def _by_time(events: list[Event[Any]]) -> list[Event[Any]]:
    """Events of several topics in order of their time, those of each partition in their own order."""
    latest: dict[TopicPartition, int] = {}
    times = []
    for event in events:
        tp = TopicPartition(event.message.topic, event.message.partition)
        latest[tp] = max(event.message.timestamp_ms, latest.get(tp, event.message.timestamp_ms))
        times.append(latest[tp])
    return [events[n] for n in sorted(range(len(events)), key=times.__getitem__)]
