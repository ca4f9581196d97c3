"""What is in work when its partitions are given away leaves no trace: others do it, or this worker does it anew."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.samples import transcript
from voicestream import Stage, State, topics
from voicestream.codec import codec
from voicestream.records import Insight, Transcript
from voicestream.streams.message import Message, Outgoing, TopicPartition
from voicestream.streams.operators.task import PipelineTask
from voicestream.streams.policies import ErrorPolicy, Retry
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.runner import AgentRunner, changelog_topic
from voicestream.streams.runtime.task import task_of
from voicestream.streams.stage import Agent
from voicestream.streams.state.store import Store

HERE = TopicPartition("voice.transcripts", 0)


class Count(msgspec.Struct):
    n: int = 0


def message(offset: int) -> Message:
    value = codec().encode(topics.transcripts, transcript(call_id="c", number=offset))
    return Message(*HERE, offset, 0, b"c", value)


class Broker:
    """Takes what is sent, once ``open`` is set."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, messages: Iterable[Outgoing]) -> None:
        batch = list(messages)
        self.asked.set()
        await self.open.wait()
        self.sent += batch

    def topics(self) -> list[str]:
        return [m.topic for m in self.sent]


@asynccontextmanager
async def running(agent: Agent, broker: Broker) -> AsyncIterator[AgentRunner]:
    runner = AgentRunner(agent, Environment(codec(), topics.dlq), broker.send)
    loop = asyncio.create_task(runner.loop())
    try:
        runner.resume({HERE})
        yield runner
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def settled(runner: AgentRunner) -> None:
    async with asyncio.timeout(5):
        while runner.backlog(HERE):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def restored(store: Store[Count], broker: Broker) -> Store[Count]:
    """What another worker reads of the changelog."""
    other: Store[Count] = Store(store.name, Count)
    for sent in broker.sent:
        if sent.topic == changelog_topic(store):
            other.restore(sent.partition or 0, (sent.key or b"").decode(), sent.value)
    return other


class Slow:
    """A stage that counts; the first record waits for ``go``."""

    def __init__(self, kind: str) -> None:
        self.started, self.go = asyncio.Event(), asyncio.Event()
        self.stage = Stage("slow", errors=ErrorPolicy(process=Retry(1, backoff_ms=10)))
        self.counts = self.stage.store("counts", Count)
        self.tries = 0
        if kind == "agent":
            self.stage.agent(topics.transcripts, out=topics.insights, state=self.counts)(self.count)
        else:
            said = self.stage.stream(topics.transcripts, time=lambda r: r.at_ms).of(Transcript)
            said.process(self.count, state=self.counts, type=Insight).to(topics.insights)

    async def count(self, said: Transcript, state: State[Count]) -> Insight:
        if not self.started.is_set():
            self.started.set()
            await self.go.wait()
        state.value = Count((state.value.n if state.value else 0) + 1)
        return Insight.of(said, kind="count", label=str(state.value.n))


KINDS = pytest.mark.parametrize("kind", ["agent", "stream"])


@KINDS
async def test_records_behind_the_one_in_work_are_not_applied_to_a_partition_that_is_gone(kind: str):
    slow, broker = Slow(kind), Broker()
    [agent] = slow.stage.agents
    async with running(agent, broker) as runner:
        runner.deliver(HERE, [message(n) for n in range(3)])
        await slow.started.wait()
        await runner.pause(0.01)
        runner.discard()
        await runner.work.idle()
        slow.counts.assign([1])  # of two partitions, another one is ours now
        slow.go.set()
        runner.resume({TopicPartition(HERE.topic, 1)})
        await asyncio.sleep(0.05)
        assert broker.sent == []
        assert slow.counts.take_changes() == []
        assert slow.counts.partitions() == [1]


@KINDS
async def test_records_behind_the_one_in_work_are_done_once_when_the_partition_comes_back(kind: str):
    slow, broker = Slow(kind), Broker()
    [agent] = slow.stage.agents
    async with running(agent, broker) as runner:
        runner.deliver(HERE, [message(n) for n in range(3)])
        await slow.started.wait()
        await runner.pause(0.01)
        runner.discard()
        await runner.work.idle()
        slow.counts.assign([0])
        runner.deliver(HERE, [message(n) for n in range(3)])
        slow.go.set()
        runner.resume({HERE})
        await settled(runner)
        assert broker.topics().count("voice.insights") == 3
        assert slow.counts.get("c") == Count(3)
        assert restored(slow.counts, broker).get("c") == Count(3)


@KINDS
async def test_a_flush_that_outlives_its_partition_writes_no_changelog(kind: str):
    slow, broker = Slow(kind), Broker()
    slow.go.set()
    broker.open.clear()  # the broker is away
    [agent] = slow.stage.agents
    async with running(agent, broker) as runner:
        runner.deliver(HERE, [message(0)])
        await broker.asked.wait()
        await runner.pause(0.01)
        runner.discard()  # another worker has the partition, and writes its changelog
        broker.open.set()
        await asyncio.sleep(0.05)
        assert changelog_topic(slow.counts) not in broker.topics()


async def test_calls_of_map_async_that_outlive_their_partition_send_nothing_and_are_made_again():
    broker, go = Broker(), asyncio.Event()
    begun: list[int] = []

    async def slow(said: Transcript) -> Insight:
        begun.append(said.number)
        await go.wait()
        return Insight.of(said, kind="heard", label=str(said.number))

    stage = Stage("slow")
    said = stage.stream(topics.transcripts).of(Transcript)
    said.map_async(slow, concurrency=4, order="none").to(topics.insights)
    [agent] = stage.agents
    runner = AgentRunner(agent, Environment(codec(), topics.dlq), broker.send)
    loops = [asyncio.create_task(runner.loop()) for _ in range(agent.concurrency)]
    try:
        runner.resume({HERE})
        runner.deliver(HERE, [message(n) for n in range(6)])
        async with asyncio.timeout(5):
            while len(begun) < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await runner.pause(0.01)
        runner.discard()
        await runner.work.idle()
        runner.deliver(HERE, [message(n) for n in range(6)])
        runner.resume({HERE})
        go.set()
        await settled(runner)
        assert broker.topics() == ["voice.insights"] * 6
        assert sorted(begun) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 5]
        assert runner.committable(HERE) == 6
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def test_what_time_brought_forth_before_a_run_that_was_called_off_is_not_sent_later():
    slow = Slow("stream")
    [agent] = slow.stage.agents
    task = task_of(agent, Environment(codec(), topics.dlq))
    task.recovered([HERE])
    assert isinstance(task, PipelineTask)
    task._ready.append(Outgoing("voice.insights", b"c", b"", 0))
    task.recovered([HERE])
    assert await task.punctuate(1) == []
