"""An entry that its changelog does not take stops the worker; what it was made of is not lost."""

from collections.abc import Iterable

import pytest

from tests.samples import transcript
from voicestream import Stage, topics
from voicestream.codec import codec
from voicestream.records import Transcript
from voicestream.streams.aggregators import Collect
from voicestream.streams.errors import SendError
from voicestream.streams.message import Message, Outgoing, TopicPartition
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.runner import LARGE_BYTES, AgentRunner
from voicestream.streams.state.store import Store

HERE = TopicPartition("voice.transcripts", 0)


def said(offset: int, size: int) -> Message:
    record = transcript(call_id="c", number=offset, text="a" * size)
    return Message(*HERE, offset, record.at_ms, b"c", codec().encode(topics.transcripts, record))


@pytest.mark.parametrize("size", [10, LARGE_BYTES + 1])
async def test_the_records_of_an_entry_that_is_refused_are_not_known_as_applied(size: int):
    stage = Stage("large")
    table = stage.stream(topics.transcripts, time=lambda r: r.at_ms).of(Transcript).aggregate(
        Collect(Transcript), name="all"
    )  # fmt: skip
    table.to_stream().foreach(lambda all_of: None)
    [agent] = stage.agents
    [store] = agent.stores
    taken: list[Outgoing] = []

    async def send(messages: Iterable[Outgoing]) -> list[int]:
        """As ``BatchProducer``: what is too large is refused, and the broker has all the others."""
        batch = list(messages)
        refused = {n: ValueError("too large") for n, m in enumerate(batch) if len(m.value or b"") > LARGE_BYTES}
        taken.extend(m for n, m in enumerate(batch) if n not in refused)
        if refused:
            raise SendError(refused)
        return list(range(len(batch)))

    runner = AgentRunner(agent, Environment(codec(), topics.dlq), send)
    runner.resume({HERE})
    refuses = size > LARGE_BYTES
    try:
        await runner._process([said(0, size)], runner.work.round)
    except SendError:
        assert refuses
    again: Store[list[Transcript]] = Store(store.name, list[Transcript])
    for message in taken:
        again.restore(0, (message.key or b"").decode(), message.value)
    assert bool(again.meta(0).fence) is not refuses
    assert (again.get("c") is None) is refuses
