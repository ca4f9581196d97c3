"""What waits in a worker is bounded, in messages and in bytes."""

from types import SimpleNamespace
from typing import Any

import pytest

from voicestream import Stage, topics
from voicestream.records import SpeechSegment
from voicestream.streams.message import Message, TopicPartition
from voicestream.streams.runtime.runner import MAX_BACKLOG, MAX_BACKLOG_BYTES

HERE = TopicPartition("voice.segments", 0)


def fetched(offsets: range, size: int) -> list[Any]:
    return [
        SimpleNamespace(topic=HERE.topic, partition=0, offset=n, timestamp=0, key=b"c", value=b"x" * size, headers=())
        for n in offsets
    ]


@pytest.mark.parametrize(("count", "size"), [(MAX_BACKLOG + 1, 1), (9, MAX_BACKLOG_BYTES // 8)])
def test_fetching_pauses_while_too_much_waits_and_goes_on_when_half_of_it_is_done(count: int, size: int):
    stage = Stage("slow")

    @stage.agent(topics.segments)
    async def hear(segment: SpeechSegment) -> None: ...

    worker = stage.app().stages  # type: ignore[attr-defined]
    paused: list[tuple[str, int]] = []
    worker.app.consumer = SimpleNamespace(
        on_buffer_full=lambda tp: paused.append(tuple(tp)), on_buffer_drop=lambda tp: paused.remove(tuple(tp))
    )
    worker.deliver(HERE, fetched(range(count - 1), size))
    assert paused == []
    worker.deliver(HERE, fetched(range(count - 1, count), size))
    assert paused == [HERE]

    [runner] = worker._runners
    done = 0
    while paused:
        runner.offsets.done([Message(*HERE, done, 0, None, None)])
        done += 1
        assert worker.committable(HERE) == done
    assert count // 2 <= done <= count // 2 + 2
