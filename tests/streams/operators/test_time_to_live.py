"""Entries of the stores that operators make, whose time to live is over."""

from contextlib import suppress

import pytest

from tests.streams.shop import (
    Click,
    Pair,
    Profile,
    Total,
    at,
    click,
    clicks,
    drive,
    late,
    pairs,
    profiles,
    totals,
    values,
)
from voicestream.streams.errors import TopologyError
from voicestream.streams.operators.keyed import Every
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.testing import WorkerKilled
from voicestream.streams.topic import Topic
from voicestream.streams.windows import session, sliding, tumbling

again: Topic[Profile] = Topic("profiles-again", Profile)


def paired(c: Click, profile: Profile | None) -> Pair:
    return Pair(user=c.user, left=c.page, right=profile and profile.name, at_ms=c.at_ms)


def test_a_join_finds_a_key_no_more_that_has_left_its_table():
    stage = Stage("s")
    table = stage.table("profiles", profiles, ttl="10s")
    table.to(again)
    stage.stream(clicks).left_join(table, paired).to(pairs)
    with drive(stage, start_ms=1_000) as driver:
        driver.topic(profiles).send(Profile(user="u", name="Ann"), Profile(user="v", name="Bob"))
        driver.advance(6_000)
        driver.topic(profiles).send(Profile(user="u", name="Anna"), Profile(user="v", name="Bob"))
        driver.advance(6_000)
        driver.topic(clicks).send(click(1), click(1, user="v"))
        driver.restart(replay=2)
        driver.topic(clicks).send(click(2), click(2, user="v"))
        assert [(p.user, p.right) for p in driver.topic(pairs)] == [("u", "Anna"), ("v", None)] * 2
        assert [p.name for p in driver.topic(again)] == ["Ann", "Bob", "Anna", "Bob"]
        driver.topic(profiles).send(Profile(user="v", name="Bob"))
        driver.topic(clicks).send(click(3, user="v"))
        assert driver.topic(pairs).read().right == "Bob"


def test_aggregates_begin_anew_when_their_time_is_over():
    stage = Stage("s")
    stream = stage.stream(clicks)
    for table in (
        stream.count(name="count", ttl="10s"),
        stream.aggregate(int, lambda total, c: total + c.value, name="sum", ttl="10s"),
        stream.map(lambda c: c.value, type=int).reduce(max, name="max", ttl="10s"),
        stream.map(lambda c: c.value, type=int).to_table("last", ttl="10s"),
    ):
        assert table.store.ttl_ms == 10_000
    seen: list[int] = []
    stream.count(name="seen", ttl="10s").to_stream().foreach(seen.append)
    with drive(stage, start_ms=1_000) as driver:
        driver.topic(clicks).send(click(1), click(2))
        driver.advance(5_000)
        driver.topic(clicks).send(click(3))
        driver.advance(9_000)
        driver.topic(clicks).send(click(4))
        driver.advance(12_000)
        driver.restart(replay=4)
        assert all(len(store) == 0 for store in stage.stores.values())
        driver.topic(clicks).send(click(5))
        assert seen == [1, 2, 3, 4, 1]


@pytest.mark.parametrize("windows", [tumbling("10s"), session("10s"), sliding("10s")])
def test_a_key_is_forgotten_when_its_windows_are_closed_and_not_before(windows):
    stage = Stage("s")
    windowed = stage.stream(clicks, time=at, idle="30s").window(windows, name="w", close="key", ttl="5s")
    counts = windowed.count()
    counts.final().map(Total.of).to(totals)
    counts.late().to(late)
    with drive(stage, start_ms=1_000) as driver:
        driver.topic(clicks).send(click(1_000), click(2_000))
        driver.advance(20_000)  # the window is open for want of records, and outlives its key's time to live
        assert len(counts.store) == 1
        assert values(driver.topic(totals)) == []
        driver.advance(20_000)  # event time went on by itself: closed, told, and forgotten
        assert 2 in values(driver.topic(totals))
        assert len(counts.store) == 0
        driver.restart(replay=2)
        assert values(driver.topic(totals)) == []
        driver.topic(clicks).send(click(1_500))
        assert values(driver.topic(late)) == []
        driver.advance(60_000)
        assert values(driver.topic(totals))[-1] == 1
        assert len(counts.store) == 0


def test_a_worker_that_dies_while_entries_expire_counts_each_key_anew_and_nothing_twice():
    for written in range(12):
        stage, seen = Stage("s"), []
        counts = stage.stream(clicks).count(name="seen", ttl="10s")
        counts.to_stream().foreach(seen.append)
        with drive(stage, start_ms=1_000) as driver:
            driver.topic(clicks).send(click(1, user="a"), click(2, user="a"), click(3, user="b"))
            driver.kill_after(written)
            with suppress(WorkerKilled):
                driver.advance(10_000)
            driver.restart(replay=3)
            assert counts.store.get("a") in (2, None)
            driver.advance(10_500)
            assert len(counts.store) == 0
            driver.restart(replay=3)
            assert len(counts.store) == 0
            driver.topic(clicks).send(click(4, user="a"), click(5, user="b"))
            assert seen[-2:] == [1, 1]


def test_a_time_to_live_is_for_windows_that_close_by_key():
    stage = Stage("s")
    with pytest.raises(TopologyError, match='close="key" only'):
        stage.stream(clicks, time=at).window(tumbling("10s"), name="w", ttl="5s")


def test_punctuators_pass_over_keys_that_are_gone():
    stage, told = Stage("s"), []
    counts = stage.store("counts", int, ttl="3s")

    def count(c: Click, state: State[int]) -> None:
        state.value = (state.value or 0) + 1

    def tell(now_ms: int, state: State[int]) -> None:
        told.append((state.key, state.value))

    stage.stream(clicks, time=at).process(count, state=counts, every=Every("1s", tell)).foreach(print)
    with drive(stage, start_ms=1_000) as driver:
        driver.topic(clicks).send(click(1))
        driver.advance(2_000)
        assert told == [("u", 1)] * len(told)
        told.clear()
        driver.advance(3_000)
        told.clear()
        driver.advance(3_000)
        assert told == []
        driver.topic(clicks).send(click(2))
        driver.advance(1_000)
        assert set(told) == {("u", 1)}
