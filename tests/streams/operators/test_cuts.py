"""How messages are cut into runs makes no difference: of one, or of all that waits."""

from collections.abc import Callable, Iterable

import pytest

from tests.streams.shop import Click, Pair, Total, at, click, clicks, drive, late, letters, pairs, totals, views
from voicestream.streams.aggregators import Collect
from voicestream.streams.operators.keyed import Every
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import State
from voicestream.streams.windows import Windowed, hopping, sliding, tumbling

CUTS = pytest.mark.parametrize("at_once", [1, 2, 3, 100])


def add(total: int, c: Click) -> int:
    return total + c.value


def sent(stage: Stage, records: Iterable[Click], at_once: int, read: Callable = lambda d: d.topic(totals)) -> list:
    records = list(records)
    with drive(stage) as driver:
        for n in range(0, len(records), at_once):
            driver.topic(clicks).send(*records[n : n + at_once])
        driver.advance(5_000)
        return list(read(driver))


def found(results: Iterable[Total]) -> list[tuple[str, int, int]]:
    return [(t.user, t.start_ms, t.value) for t in results]


@CUTS
def test_branches_that_meet_again_keep_the_order_of_their_records(at_once):
    stage = Stage("s")
    odd, even = stage.stream(clicks, time=at, idle="1s").branch(lambda c: c.value % 2 == 1, lambda c: True)
    windows = odd.merge(even).window(tumbling("10ms"), name="w").aggregate(int, add)
    windows.final().map(Total.of).to(totals)
    windows.late().to(late)
    records = [click(1, 2), click(2, 3), click(8, 4), click(31, 1), click(33, 2), click(55, 1)]
    results = sent(stage, records, at_once, lambda d: [d.topic(totals).read_all(), d.topic(late).read_all()])
    assert found(results[0]) == [("u", 0, 9), ("u", 30, 3), ("u", 50, 1)]
    assert results[1] == []


@CUTS
def test_a_stream_meets_a_table_of_itself_as_it_is_with_its_record(at_once):
    stage, seen = Stage("s"), []
    stream = stage.stream(clicks)
    stream.join(stream.count(name="counts"), lambda c, n: (c.at_ms, n)).foreach(seen.append)
    sent(stage, [click(n) for n in range(5)], at_once)
    assert seen == [(n, n + 1) for n in range(5)]


@CUTS
def test_a_stream_is_joined_with_itself(at_once):
    stage = Stage("s")
    stream = stage.stream(clicks, time=at, idle="1s")

    def pair(left: Click, right: Click) -> Pair:
        return Pair(user="u", left=left.page, right=right.page, at_ms=max(left.at_ms, right.at_ms))

    stream.join(stream, pair, within="5ms", name="self").to(pairs)
    records = [click(t, page=str(t)) for t in (1, 3, 40, 44, 90)]
    results = sent(stage, records, at_once, lambda d: d.topic(pairs))
    assert sorted((int(p.left), int(p.right)) for p in results) == [
        (1, 1), (1, 3), (3, 1), (3, 3), (40, 40), (40, 44), (44, 40), (44, 44), (90, 90),
    ]  # fmt: skip


@CUTS
def test_windows_of_windows_miss_nothing(at_once):
    """The results of the first come with the event time that they were due at, not with that of the record behind."""
    stage = Stage("s")
    stream = stage.stream(clicks, time=at, idle="1s").window(tumbling("10ms", grace="7ms"), name="small")
    big = (
        stream.aggregate(int, add)
        .final()
        .map(lambda w: click(w.start_ms, w.value, w.key), type=Click)
        .window(tumbling("20ms"), name="big")
        .aggregate(int, add)
    )
    big.final().map(Total.of).to(totals)
    big.late().to(late)
    records = [click(1), click(16), click(5, 2), click(25, 3), click(12, 5), click(500), click(2_000), click(2_500)]
    results = sent(stage, records, at_once, lambda d: [d.topic(totals).read_all(), d.topic(late).read_all()])
    assert found(results[0]) == [("u", 0, 9), ("u", 20, 3), ("u", 500, 1), ("u", 2_000, 1), ("u", 2_500, 1)]
    assert results[1] == []


@CUTS
def test_punctuators_see_every_key_that_came_before(at_once):
    stage, told = Stage("s"), []
    counts = stage.store("counts", int)

    def count(c: Click, state: State[int]) -> None:
        state.value = (state.value or 0) + c.value

    def tell(now_ms: int, state: State[int]) -> None:
        told.append((now_ms, state.key, state.value))

    stage.stream(clicks, time=at, idle=None).process(
        count, state=counts, every=Every("10ms", tell, time="stream")
    ).foreach(print)
    sent(stage, [click(1, user="a"), click(2, user="b"), click(11, user="c"), click(23, user="a")], at_once)
    assert told == [(11, "a", 1), (11, "b", 1), (23, "a", 1), (23, "b", 1), (23, "c", 1)]


@CUTS
def test_a_record_that_fails_behind_flat_map_leaves_nothing_of_itself(at_once):
    stage = Stage("s")

    def picky(c: Click) -> Click:
        if c.value == 13:
            raise ValueError("unlucky")
        return c

    stage.stream(clicks, time=at, idle="1s").flat_map(
        lambda c: [click(c.at_ms, c.value + n) for n in range(3)], type=Click
    ).map(picky, type=Click).window(tumbling("10ms"), name="w").aggregate(int, add).final().map(Total.of).to(totals)
    results = sent(stage, [click(1, 1), click(2, 12), click(3, 5)], at_once)
    assert found(results) == [("u", 0, 24)]


@CUTS
def test_a_record_that_fails_drives_event_time_wherever_it_does(at_once):
    stage = Stage("s")

    def picky(c: Click) -> Click:
        if c.value == 13:
            raise ValueError("unlucky")
        return c

    def fragile(total: int, c: Click) -> int:
        if c.value == 14:
            raise ValueError("unlucky too")
        return total + c.value

    windows = (
        stage.stream(clicks, time=at, idle=None)
        .map(picky, type=Click)
        .window(tumbling("10ms"), name="w")
        .aggregate(int, fragile)
    )
    windows.final().map(Total.of).to(totals)
    windows.late().to(late)
    records = [click(1), click(12, 13), click(2, 5), click(31, 14), click(12, 7), click(31), click(50)]
    results = sent(stage, records, at_once, lambda d: [d.topic(totals).read_all(), d.topic(late).read_all()])
    assert found(results[0]) == [("u", 0, 1), ("u", 30, 1)]
    assert [c.value for c in results[1]] == [5, 7]


@CUTS
@pytest.mark.parametrize("windows", [hopping("10ms", "2ms"), sliding("10ms")])
def test_an_aggregator_that_fails_in_one_of_several_windows_leaves_none_changed(at_once, windows):
    stage = Stage("s")
    calls: dict[int, int] = {}

    def fragile(values: list[int], c: Click) -> list[int]:
        values.append(c.value)
        calls[c.value] = calls.get(c.value, 0) + 1
        if c.value == 13 and calls[13] % 3 == 0:
            raise ValueError("unlucky")
        return values

    stage.stream(clicks, time=at, idle="1s").window(windows, name="w").aggregate(
        list, fragile, type=list[int]
    ).final().map(lambda w: Total(user=w.key, start_ms=w.start_ms, end_ms=w.end_ms, value=sum(w.value), final=True)).to(
        totals
    )
    records = [click(t, 1) for t in (11, 13, 15, 17)] + [click(16, 13), click(19, 1)]
    results = sent(stage, records, at_once)
    assert results
    assert all(0 < t.value <= 5 for t in results), results


@CUTS
def test_a_result_that_cannot_be_made_is_set_aside(at_once):
    class Picky(Collect):
        def result(self, state):
            if 13 in [c.value for c in state]:
                raise ValueError("unlucky")
            return len(state)

    def total(w: Windowed) -> Total:
        return Total.of(w)

    stage = Stage("s")
    stage.stream(clicks, time=at, idle="1s").window(tumbling("10ms"), name="w").aggregate(Picky(Click)).final().map(
        total
    ).to(totals)
    records = [click(1), click(11, 13), click(21), click(11), click(35, user="v"), click(80)]
    results = sent(stage, records, at_once, lambda d: [d.topic(totals).read_all(), d.topic(letters).read_all()])
    assert found(results[0]) == [("u", 0, 1), ("u", 20, 1), ("v", 30, 1), ("u", 80, 1)]
    assert [letter.error for letter in results[1]] == ["ValueError"]


@CUTS
def test_a_result_that_fails_in_the_state_behind_leaves_that_as_it_was(at_once):
    stage = Stage("s")
    lists = stage.store("lists", list[int])

    def fragile(w: Windowed, state: State[list[int]]) -> Click:
        state.value = [*(state.value or []), w.value]
        if w.value == 13:
            raise ValueError("unlucky")
        return click(w.end_ms, sum(state.value))

    stage.stream(clicks, time=at, idle="1s").window(tumbling("10ms"), name="w").aggregate(int, add).final().process(
        fragile, state=lists
    ).to(views)
    results = sent(stage, [click(1, 1), click(11, 13), click(21, 3)], at_once, lambda d: d.topic(views))
    assert [c.value for c in results] == [1, 4]
