"""Windows of a stream: when they close, what is late, and what a crash leaves."""

import pytest

from tests.streams.shop import Click, Total, at, click, clicks, drive, late, letters, totals, values, views
from voicestream.streams.aggregators import Mean, Several, Sum
from voicestream.streams.errors import StreamsError, TopologyError
from voicestream.streams.operators.windowed import OpenWindow
from voicestream.streams.stage import Stage
from voicestream.streams.testing import TopologyTestDriver, WorkerKilled
from voicestream.streams.topic import Topic
from voicestream.streams.windows import hopping, session, sliding, tumbling


def add(total: int, c: Click) -> int:
    return total + c.value


def summed(close: str = "partition", final: bool = True, windows=None, merge=None) -> Stage:
    stage = Stage("s")
    table = (
        stage.stream(clicks, time=at, idle="1s")
        .window(windows or tumbling("10ms", grace="5ms"), name="sums", close=close)
        .aggregate(int, add, merge=merge)
    )
    (table.final() if final else table.current()).map(Total.of).to(totals)
    table.late().to(late)
    return stage


def found(driver: TopologyTestDriver) -> list[tuple[str, int, int, int]]:
    return [(t.user, t.start_ms, t.end_ms, t.value) for t in driver.topic(totals)]


def test_a_window_is_final_once_when_event_time_is_past_its_end_and_grace():
    with drive(summed()) as driver:
        driver.topic(clicks).send(click(1), click(9, 2), click(14), click(3, 4))
        assert found(driver) == []
        driver.topic(clicks).send(click(15))
        assert found(driver) == [("u", 0, 10, 7)]
        driver.topic(clicks).send(click(40))
        assert found(driver) == [("u", 10, 20, 2)]


def test_a_late_record_goes_to_the_late_topic():
    with drive(summed()) as driver:
        driver.topic(clicks).send(click(1), click(15), click(2, 9))
        assert found(driver) == [("u", 0, 10, 1)]
        assert values(driver.topic(late)) == [9]


def test_current_tells_every_update():
    with drive(summed(final=False)) as driver:
        driver.topic(clicks).send(click(1), click(2, 5), click(11))
        assert [t.value for t in driver.topic(totals)] == [1, 6, 1]


def test_event_time_is_that_of_the_partition_unless_windows_close_by_key():
    with drive(summed()) as driver:
        driver.topic(clicks).send(click(1, user="a"), click(50, user="b"), click(2, user="a"))
        assert found(driver) == [("a", 0, 10, 1)]
        assert len(driver.topic(late).read_all()) == 1
    with drive(summed(close="key")) as driver:
        driver.topic(clicks).send(click(1, user="a"), click(50, user="b"), click(2, user="a"))
        assert found(driver) == []
        driver.topic(clicks).send(click(20, user="a"), click(3, user="a"))
        assert found(driver) == [("a", 0, 10, 2)]
        assert len(driver.topic(late).read_all()) == 1


@pytest.mark.parametrize("close", ["partition", "key"])
def test_a_quiet_partition_or_key_closes_by_the_clock(close):
    with drive(summed(close)) as driver:
        driver.topic(clicks).send(click(1), click(2))
        driver.advance(900)
        assert found(driver) == []
        driver.advance(600)
        assert found(driver) == [("u", 0, 10, 2)]
        driver.topic(clicks).send(click(3))
        assert len(driver.topic(late).read_all()) == 1
        assert found(driver) == []


def test_sliding_hopping_and_session_windows_are_there():
    with drive(summed(windows=hopping("10ms", "5ms"))) as driver:
        driver.topic(clicks).send(click(7), click(30))
        assert found(driver) == [("u", 0, 10, 1), ("u", 5, 15, 1)]
    with drive(summed(windows=session("5ms", grace="9ms"), merge=lambda a, b: a + b)) as driver:
        driver.topic(clicks).send(click(1), click(9), click(5), click(30))
        assert found(driver) == [("u", 1, 9, 3)]
    with drive(summed(windows=sliding("5ms"))) as driver:
        driver.topic(clicks).send(click(10), click(13, 2), click(60))
        assert found(driver) == [("u", 5, 10, 1), ("u", 8, 13, 3), ("u", 11, 16, 2)]


def test_a_record_that_fails_leaves_no_trace_in_the_windows():
    stage = Stage("s")

    def fragile(total: list[int], c: Click) -> list[int]:
        total.append(c.value)
        if c.value == 13:
            raise ValueError("unlucky")
        return total

    stage.stream(clicks, time=at).window(tumbling("10ms"), name="lists").aggregate(
        list, fragile, type=list[int]
    ).final().map(lambda w: click(w.end_ms, sum(w.value), w.key)).to(views)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1), click(2, 13), click(3, 5), click(20))
        assert values(driver.topic(views)) == [6]
        assert driver.topic(letters).read().message == "unlucky"


def test_a_record_that_fails_behind_the_windows_is_not_counted_either():
    stage = Stage("s")

    def total(window):
        if window.value == 3:
            raise ValueError("three")
        return Total.of(window)

    stage.stream(clicks, time=at).window(tumbling("10ms"), name="sums").aggregate(int, add).current().map(total).to(
        totals
    )
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1), click(2, 2), click(3, 5))
        assert [t.value for t in driver.topic(totals)] == [1, 6]
        assert driver.topic(letters).read().offset == 1


def test_a_result_that_fails_is_set_aside_and_no_message_is_blamed():
    stage = Stage("s")

    def total(window):
        if window.value == 3:
            raise ValueError("three")
        return Total.of(window)

    stage.stream(clicks, time=at).window(tumbling("10ms"), name="sums").aggregate(int, add).final().map(total).to(
        totals
    )
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1, 3), click(11, 4), click(21, 5), click(31))
        assert [t.value for t in driver.topic(totals)] == [4, 5]
        letter = driver.topic(letters).read()
        assert (letter.offset, letter.source_key, letter.error) == (-1, b"u", "ValueError")
        assert b"value=3" in letter.source_value
        assert driver.topic(letters).read_all() == []


def test_several_aggregates_of_one_window():
    stage, seen = Stage("s"), []
    stage.stream(clicks, time=at).window(tumbling("10ms"), name="w").aggregate(
        Several(mean=Mean(lambda c: c.value), total=Sum(lambda c: c.value))
    ).final().foreach(lambda w: seen.append(w.value))
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1, 1), click(2, 2), click(20))
    assert seen == [{"mean": 1.5, "total": 3}]


def test_windows_survive_a_restart_with_any_replay():
    for replay in range(5):
        with drive(summed()) as driver:
            driver.topic(clicks).send(click(1), click(9, 2), click(15), click(3, 9))
            driver.restart(replay=replay)
            driver.topic(clicks).send(click(16), click(40))
            assert set(found(driver)) == {("u", 0, 10, 3), ("u", 10, 20, 2)}, replay


def test_a_chain_of_windows_counts_once_wherever_the_worker_is_killed():
    """Windows behind a repartition topic and another window: the copies that a replay sends are refused."""
    for deaths in range(40):
        stage = Stage("s")
        (
            stage.stream(clicks, time=at)
            .window(tumbling("10ms"), name="small")
            .aggregate(int, add)
            .final()
            .map(lambda w: click(w.start_ms, w.value, w.key), type=Click)
            .key_by(lambda c: c.user[0], name="by-letter")
            .window(tumbling("20ms"), name="big")
            .aggregate(int, add)
            .final()
            .map(Total.of)
            .to(totals)
        )
        sent = [click(t, 1 + t % 3, user) for t in range(0, 100, 2) for user in ("ax", "ay", "b")]
        sent += [click(1_000, 0, user) for user in ("ax", "b")] + [click(2_000, 0, "b")] * 2
        with drive(stage) as driver:
            topic = driver.topic(clicks)
            at_once = 7
            for n in range(0, len(sent), at_once):
                if n // at_once % 3 == 1:
                    driver.kill_after(deaths)
                try:
                    topic.send(*sent[n : n + at_once])
                    driver.kill_after(1 << 30)
                except WorkerKilled:
                    driver.restart(replay=at_once)
            truth: dict[tuple[str, int], int] = {}
            for c in sent:
                key = c.user[0], c.at_ms // 20 * 20
                truth[key] = truth.get(key, 0) + c.value
            results: dict[tuple[str, int], set[int]] = {}
            for user, start, _, value in found(driver):
                results.setdefault((user, start), set()).add(value)
            assert {key: {value} for key, value in truth.items() if key[1] < 100} == {
                key: value for key, value in results.items() if key[1] < 100
            }, deaths


def test_windows_want_a_type_that_a_store_can_keep():
    stage = Stage("s")
    with pytest.raises(TopologyError, match=r"window 'w': the type of the values is not known"):
        stage.stream(clicks).map(lambda c: c.value).window(tumbling("1s"), name="w").collect()
    with pytest.raises(TopologyError, match=r"window 'v'.*merge="):
        stage.stream(clicks).window(session("1s"), name="v").aggregate(int, add)
    many: Topic = Topic("many", Click, Total)
    with pytest.raises(TopologyError, match=r"narrow them with \.of\(Type\)"):
        stage.stream(many).window(tumbling("1s"), name="x").collect()


def test_what_a_query_sees_of_windows_are_the_open_ones():
    stage = Stage("s")
    sums = stage.stream(clicks, time=at).window(sliding("10ms"), name="sums").aggregate(int, add)
    with drive(stage) as driver:
        driver.topic(clicks).send(click(1, 2), click(4, 3), click(13, 5))
        kept = sums.store.get("u")
        assert kept is not None
        assert kept.open() == [OpenWindow(3, 13, 8), OpenWindow(5, 15, 5)]
        assert len(kept.panes) > 2  # a closed one is what later ones start from


def test_a_value_that_is_not_of_the_type_of_its_store_fails_the_test_and_not_a_later_restart():
    stage = Stage("s")
    stage.stream(clicks).aggregate(int, lambda total, c: total + c.value / 2, name="halves")
    with drive(stage) as driver, pytest.raises(StreamsError, match=r"s-halves, key u: .* is no int"):
        driver.topic(clicks).send(click(0, 1))


def test_the_result_of_a_window_is_no_record_of_a_topic():
    stage = Stage("s")
    counted = stage.stream(clicks).window(tumbling("1s"), name="w").count()
    with pytest.raises(TopologyError, match=r"a stream of Windowed goes to topic totals, which carries Total: map it"):
        counted.final().to(totals)
