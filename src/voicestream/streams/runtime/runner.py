"""Runs one agent in a worker: a loop that takes what is waiting, processes it, sends, and lets the offsets go.

The order matters: outputs first, then the changelog, then the offsets. A kill between any two of them replays the
records; the outputs come again with the same ids, and the fence refuses what the state has applied.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from voicestream.streams.clock import now_ms
from voicestream.streams.message import Message, Outgoing, TopicPartition
from voicestream.streams.runtime.delivery import Send, deliver
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.runtime.queues import FifoQueue, KeyedQueue, OffsetTracker
from voicestream.streams.runtime.task import PunctuatorTask, task_of
from voicestream.streams.runtime.work import Work
from voicestream.streams.stage import Agent
from voicestream.streams.state.store import Store

log = logging.getLogger(__name__)

PUNCTUATE_EVERY_S = 0.5
MAX_BACKLOG = 2_000  # messages of one partition that wait in memory before fetching pauses
LARGE_BYTES = 100_000
MAX_BACKLOG_BYTES = 16_000_000  # and bytes: a segment of speech has up to half a megabyte


def changelog_topic(store: Store[object]) -> str:
    """The topic that holds the changes of ``store``."""
    return f"{store.name}-changelog"


async def send_changes(store: Store[Any], send: Send) -> None:
    """Write the changed entries of ``store`` to its changelog; raises ``SendError`` where it does not take one."""
    changes, generation, now = store.take_changes(), store.generation, now_ms()
    if not changes:
        return
    topic = changelog_topic(store)
    out = [Outgoing(topic, key.encode(), value, now, partition) for partition, key, value in changes]
    # The broker may refuse a large entry: with a meta behind it, its records would not be applied again.
    last_large = max((n for n, m in enumerate(out, 1) if m.value is not None and len(m.value) > LARGE_BYTES), default=0)
    offsets: list[int] = []
    for part in out[:last_large], out[last_large:]:
        if part:
            offsets += await send(part) or ()
    store.settle(changes, offsets, generation)


class AgentRunner:
    """The loop, or the ``concurrency`` loops, of one agent."""

    def __init__(self, agent: Agent, environment: Environment, send: Send, lock: asyncio.Lock | None = None) -> None:
        """``lock`` is that of the agent's store, which other agents and punctuators may share."""
        self.agent = agent
        self.task = task_of(agent, environment)
        self.topics = {topic.name for topic in agent.inputs}
        self.offsets = OffsetTracker()
        self._send = send
        self._queue: FifoQueue | KeyedQueue = KeyedQueue() if agent.concurrency > 1 and agent.ordered else FifoQueue()
        self._limit = agent.batch.max_size if agent.batch is not None else (1 if agent.concurrency > 1 else 500)
        self._within_s = agent.batch.within_ms / 1000 if agent.batch is not None else 0.0
        self._wake = asyncio.Event()
        self._open = asyncio.Event()
        self.work = Work()
        self._waiting = METRICS.of(agent.stage, agent.name).waiting
        self.lock = lock or asyncio.Lock()

    def deliver(self, tp: TopicPartition, messages: Sequence[Message]) -> None:
        """Hand over what was fetched of a partition."""
        self._queue.push(self.offsets.received(tp, messages))
        self._waiting.set(len(self._queue))
        self._wake.set()

    def backlog(self, tp: TopicPartition) -> float:
        """What was fetched of the partition and is not done, in parts of what may wait in memory."""
        return max(self.offsets.pending(tp) / MAX_BACKLOG, self.offsets.pending_bytes(tp) / MAX_BACKLOG_BYTES)

    def committable(self, tp: TopicPartition) -> int | None:
        """The offset from which this agent must read the partition after a crash."""
        offset = self.offsets.committable(tp)
        held = self.task.oldest_needed(tp.topic, tp.partition)
        return offset if offset is None or held is None else min(offset, held)

    def resume(self, assigned: Iterable[TopicPartition]) -> None:
        """Go on: these partitions are assigned, and state is recovered."""
        self.task.recovered([tp for tp in assigned if tp.topic in self.topics])
        self._open.set()
        self._wake.set()

    async def pause(self, timeout_s: float) -> None:
        """Take nothing more, and wait for what is in work, punctuators too."""
        self._open.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self.work.idle()
                async with self.lock:
                    pass
        except TimeoutError:
            log.warning("stage %s, agent %s: still at work after %.0f s; the records will be processed again",
                        self.agent.stage, self.agent.name, timeout_s)  # fmt: skip

    def discard(self) -> None:
        """Forget everything: the partitions will be read again from what was committed.

        What is in work is called off; the stores may be given other partitions when ``work`` is idle.
        """
        self.work.call_off()
        self._queue.clear()
        self.offsets.clear()
        self._waiting.set(0)
        self.task.discard()

    async def loop(self) -> None:
        """Run until cancelled; an exception is that of the policy ``fail``."""
        while True:
            messages = await self._take()
            await self.work.do(self._process(messages, self.work.round))
            # A loop whose sources are never empty must still let the others run.
            await asyncio.sleep(0)

    async def punctuate(self) -> None:
        """Let the task see that time goes on, until cancelled."""
        while True:
            await asyncio.sleep(PUNCTUATE_EVERY_S)
            await self._open.wait()
            await self.work.do(self._punctuate())

    async def _take(self) -> list[Message]:
        while True:
            await self._open.wait()
            if len(self._queue) and self._within_s and len(self._queue) < self._limit:
                await asyncio.sleep(self._within_s)  # company may come
            messages = self._queue.take(self._limit) if self._open.is_set() else []
            if messages:
                self._waiting.set(len(self._queue))
                return messages
            self._wake.clear()
            await self._wake.wait()

    async def _flush(self, out: list[Outgoing]) -> None:
        await deliver(out, self._send, self.agent.errors.produce, self.task.failures)
        for store in self.agent.stores:
            await send_changes(store, self._send)
        self.task.checkpointed()

    async def _process(self, messages: list[Message], begun: int) -> None:
        async with self.lock if self.agent.concurrency == 1 else _no_lock():
            out = await self.task.run(messages)
            if begun != self.work.round:
                return  # a function would not be called off; the partitions are not ours, or not in this generation
            await self._flush(out)
        self.offsets.done(messages)
        self._queue.done(messages)
        if len(self._queue):
            self._wake.set()

    async def _punctuate(self) -> None:
        async with self.lock:
            if self._open.is_set():
                await self._flush(await self.task.punctuate(now_ms()))


async def run_punctuator(
    task: PunctuatorTask, lock: asyncio.Lock, opened: asyncio.Event, work: Work, send: Send
) -> None:
    """Call a punctuator every so often, between the records of the agents that share its store, until cancelled."""

    async def punctuate() -> None:
        async with lock:
            if opened.is_set():  # else the partitions are being taken away
                await deliver(await task.run(now_ms()), send, task.punctuator.errors.produce, task.failures)
                await send_changes(task.punctuator.store, send)

    while True:
        await asyncio.sleep(task.punctuator.every_ms / 1000)
        await opened.wait()
        await work.do(punctuate())


class _no_lock:
    """Calls of one agent that run at once share no state."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...
