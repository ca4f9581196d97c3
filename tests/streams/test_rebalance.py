"""What is under way when partitions are given away or taken over."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition as KafkaTopicPartition
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

from tests.samples import transcript
from voicestream import Stage, State, topics
from voicestream.codec import codec
from voicestream.records import Insight, Transcript
from voicestream.streams.errors import StreamsError
from voicestream.streams.message import Message, Outgoing, TopicPartition
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.runner import AgentRunner
from voicestream.streams.runtime.worker import StagesConsumer
from voicestream.streams.state.store import Store

HERE = TP("voice.transcripts", 0)


class Count(msgspec.Struct):
    n: int = 0


def message(offset: int) -> Message:
    value = codec().encode(topics.transcripts, transcript(call_id="c", number=offset))
    return Message(HERE.topic, HERE.partition, offset, 0, b"c", value)


def test_an_entry_opened_before_a_store_was_dropped_is_not_saved_after():
    store: Store[Count] = Store("s", Count)
    state = store.open(0, "c")
    store.drop()
    store.restore(0, "c", None)
    state.value = Count(7)
    store.save(state, {"t": 3})
    assert store.get("c") is None
    assert store.take_changes() == []


@pytest.mark.parametrize("data", [b"", b"\x92\x80\x81\xa1n\xa1x", b"\x01"])
def test_a_changelog_that_holds_something_else_is_named(data: bytes):
    store: Store[Count] = Store("counter-counts", Count)
    with pytest.raises(StreamsError, match=r"store counter-counts, key c: .* changelog .* Count"):
        store.restore(0, "c", data)


async def test_a_record_in_work_when_its_partition_was_taken_over_again_is_counted_once_and_not_lost():
    stage = Stage("slow")
    counts = stage.store("counts", Count)
    started, go = asyncio.Event(), asyncio.Event()

    @stage.agent(topics.transcripts, out=topics.insights, state=counts)
    async def count(said: Transcript, state: State[Count]) -> Insight:
        started.set()
        await go.wait()
        state.value = Count((state.value.n if state.value else 0) + 1)
        return Insight.of(said, kind="count", label=str(state.value.n))

    sent: list[Outgoing] = []

    async def send(messages: Any) -> None:
        sent.extend(messages)

    runner = AgentRunner(stage.agents[0], Environment(codec(), topics.dlq), send)
    tp = TopicPartition(*HERE)
    loop = asyncio.create_task(runner.loop())
    try:
        runner.resume({tp})
        runner.deliver(tp, [message(0)])
        await started.wait()
        await runner.pause(0.01)  # it is too slow, so the partition goes and comes again
        runner.discard()
        counts.drop()
        runner.deliver(tp, [message(0)])
        runner.resume({tp})
        go.set()
        async with asyncio.timeout(5):
            while runner.backlog(tp):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [m.topic for m in sent] == ["voice.insights", "slow-counts-changelog"]
        assert counts.get("c") == Count(1)
    finally:
        loop.cancel()


def test_two_agents_that_share_a_store_take_turns():
    stage = Stage("shared")
    counts = stage.store("counts", Count)

    @stage.agent(topics.transcripts, state=counts)
    async def first(said: Transcript, state: State[Count]) -> None: ...

    @stage.agent(topics.insights, state=counts)
    async def second(insight: Insight, state: State[Count]) -> None: ...

    @stage.agent(topics.insights)
    async def third(insight: Insight) -> None: ...

    first_runner, second_runner, third_runner = stage.app().stages._runners  # type: ignore[attr-defined]
    assert first_runner.lock is second_runner.lock
    assert first_runner.lock is not third_runner.lock


class Delivered:
    """What the consumer handed over, in place of the agents."""

    topics = frozenset({HERE.topic})
    assigned = frozenset({TopicPartition(*HERE)})

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def deliver(self, tp: TopicPartition, records: list[Any]) -> None:
        self.offsets += [record.offset for record in records]


class Positions:
    """The thread of Faust's consumer, as far as seeking goes: ``committed`` is what the broker knows."""

    def __init__(self, committed: int | None) -> None:
        self.committed = committed
        self.position: int | str = 10  # behind the record that was fetched

    async def seek_to_committed(self) -> dict[TP, int | None]:
        if self.committed:  # aiokafka does not move for None and 0
            self.position = self.committed
        return {HERE: self.committed}

    async def seek_to_beginning(self, *partitions: KafkaTopicPartition) -> None:
        assert [tuple(tp) for tp in partitions] == [tuple(HERE)]
        self.position = "beginning"

    def assignment(self) -> set[TP]:
        return {HERE}


@pytest.mark.parametrize(("committed", "position"), [(5, 5), (0, "beginning"), (None, "beginning")])
async def test_what_a_fetch_brought_that_a_rebalance_overtook_is_fetched_again(monkeypatch, committed, position):
    consumer = StagesConsumer.__new__(StagesConsumer)
    consumer.app = SimpleNamespace(consumer_generation_id=1)
    consumer.stages = Delivered()  # type: ignore[assignment]
    consumer.flow_active = True
    consumer._thread = thread = Positions(committed)  # type: ignore[assignment]
    consumer._read_offset, consumer._committed_offset = {}, {HERE: None}

    async def fetch(self: Any, active: Any, timeout: float) -> Any:  # noqa: ASYNC109
        self.app.consumer_generation_id = 2
        return {HERE: [message(9)]}

    monkeypatch.setattr(FaustConsumer, "_getmany", fetch)
    assert await consumer._getmany({HERE}, 1.0) == {}
    assert consumer.stages.offsets == []
    assert thread.position == position
