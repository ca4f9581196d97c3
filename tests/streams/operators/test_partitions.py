"""Several partitions in one run, and event time by where records come from."""

from tests.streams.shop import CODEC, Click, click, clicks, letters, views
from voicestream.streams.message import Message, TopicPartition
from voicestream.streams.operators.sink import ORIGIN
from voicestream.streams.operators.source import BEGINNING, EventTime, Source
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.task import task_of
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State


def copy_of(partition: int, offset: int, of: int, user: str) -> Message:
    """A copy of the message at offset ``of`` of another topic."""
    value = CODEC.encode(clicks, click(of, 1, user))
    return Message("clicks", partition, offset, of, user.encode(), value, ((ORIGIN, f"s.other/0|raw|{of}_0".encode()),))


async def test_copies_in_one_partition_do_not_hide_those_in_another():
    stage = Stage("s")
    seen = stage.store("seen", int)

    def count(c: Click, state: State[int]) -> None:
        state.value = (state.value or 0) + c.value

    stage.stream(clicks).process(count, state=seen).foreach(print)
    task = task_of(stage.agents[0], Environment(CODEC, letters))
    seen.assign([0, 1])
    task.recovered([TopicPartition("clicks", 0), TopicPartition("clicks", 1)])
    first = [copy_of(0, 0, 5, "a"), copy_of(0, 1, 7, "a"), copy_of(1, 0, 4, "b"), copy_of(1, 1, 6, "b")]
    again = [copy_of(1, 2, 4, "b"), copy_of(0, 2, 7, "a"), copy_of(1, 3, 6, "b"), copy_of(1, 4, 8, "b")]
    await task.run(first)
    await task.run(again)
    assert {key: seen.look_up(number, key) for number, key in seen} == {"a": 2, "b": 3}


def test_event_time_is_that_of_the_partition_that_lags_where_records_come_from_several():
    time = EventTime([Source(clicks, None, 1_000)])
    time.assign([TopicPartition("clicks", 0)], {}, 0)
    assert time.heard("clicks", 0, "clicks|s.a/0|raw", 10, 0) == 10
    assert time.heard("clicks", 0, "clicks|s.a/1|raw", 4, 0) == 10  # never back
    assert time.heard("clicks", 0, "clicks|s.a/0|raw", 30, 0) == 10
    assert time.heard("clicks", 0, "clicks|s.a/1|raw", 20, 0) == 20


def test_what_the_clock_brought_forth_there_does_not_hold_event_time_back():
    time = EventTime([Source(clicks, None, None)])
    time.assign([TopicPartition("clicks", 0)], {}, 0)
    assert time.heard("clicks", 0, "clicks|s.a/0|", 10, 0) == 10
    assert time.heard("clicks", 0, "clicks|s.a/0|raw", 20, 0) == 20
    assert time.heard("clicks", 0, "clicks|s.a/0|", 25, 0) == 25
    assert time.heard("clicks", 0, "clicks|s.a/0|raw", 30, 0) == 30
    assert time.remembered(0) == {"clicks|s.a/0|raw": 30, "": 30}


def test_a_topic_that_never_spoke_holds_event_time_back_until_it_is_idle():
    time = EventTime([Source(clicks, None, 1_000), Source(views, None, 1_000)])
    time.assign([TopicPartition("clicks", 0), TopicPartition("views", 0)], {}, 0)
    assert time.ahead(0, 0) == BEGINNING
    assert time.heard("clicks", 0, "clicks", 10, 900) == BEGINNING
    assert time.ahead(0, 1_100) == 10


def test_a_topic_that_is_not_assigned_here_holds_nothing_back():
    time = EventTime([Source(clicks, None, None), Source(views, None, None)])
    time.assign([TopicPartition("clicks", 0), TopicPartition("clicks", 1), TopicPartition("views", 0)], {}, 0)
    assert time.heard("clicks", 1, "clicks", 10, 0) == 10
    assert time.heard("clicks", 0, "clicks", 10, 0) == BEGINNING
