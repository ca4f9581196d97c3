"""Stream-stream joins against nested loops over the whole input, and Kafka Streams' documented examples."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.streams.joins import windowed
from voicestream.streams.joins.rows import Buffers
from voicestream.streams.joins.windowed import WindowedJoin, Within

ROWS = msgspec.msgpack.Decoder(Buffers[str, str])
HOWS = ("inner", "left", "outer")

withins = st.tuples(st.integers(-12, 12), st.integers(-12, 12), st.integers(0, 12)).filter(lambda w: w[0] + w[1] >= 0)
sides = st.sampled_from(("left", "right"))


def matches(within, left_ms, right_ms):
    return left_ms - within.before_ms <= right_ms <= left_ms + within.after_ms


def with_watermarks(rows, of_the_slower):
    """The rows as they come, each with its name and with the watermark behind it."""
    newest = {"left": -1000, "right": -1000}
    for number, (side, time_ms) in enumerate(rows):
        newest[side] = max(newest[side], time_ms)
        yield side, f"{side}{number}", time_ms, (min if of_the_slower else max)(newest.values())


def run(join, arrivals, cuts):
    """What the join gives: results, late rows, what waits at the end. Behind the rows in ``cuts`` a batch ends."""
    buffers, out, late, watermark = Buffers(), [], [], -1000
    for number, (side, value, time_ms, watermark) in enumerate(arrivals):
        joined = (join.add_left if side == "left" else join.add_right)(buffers, value, time_ms, watermark)
        out += joined.pairs
        late += [value] * joined.late
        if number in cuts:
            out += join.expire(buffers, watermark)
            buffers = ROWS.decode(msgspec.msgpack.encode(buffers))
    return out + join.expire(buffers, watermark), late, buffers


def oracle(within, how, arrivals):
    """Results and late rows of nested loops: a row waits while one within grace may match it."""
    open_for = {"left": within.after_ms + within.grace_ms, "right": within.before_ms + within.grace_ms}
    pairs, late, kept, unmatched = [], [], [], {}
    for side, value, time_ms, watermark in arrivals:
        met = False
        for other, partner, other_ms in kept:
            left_ms, right_ms = (time_ms, other_ms) if side == "left" else (other_ms, time_ms)
            if other != side and matches(within, left_ms, right_ms) and other_ms + open_for[other] >= watermark:
                left, right = (value, partner) if side == "left" else (partner, value)
                pairs.append((left, right, max(time_ms, other_ms)))
                unmatched.pop(partner, None)
                met = True
        is_open = time_ms + open_for[side] >= watermark
        if is_open:
            kept.append((side, value, time_ms))
        elif not met and time_ms + within.grace_ms < watermark:
            late.append(value)
            continue
        if not met and (how == "outer" or (how == "left" and side == "left")):
            unmatched[value] = (value, None, time_ms) if side == "left" else (None, value, time_ms)
    return pairs + list(unmatched.values()), late


@settings(max_examples=300, deadline=None)
@given(
    withins, st.sampled_from(HOWS), st.lists(st.tuples(sides, st.integers(0, 60)), max_size=40), st.booleans(),
    st.sets(st.integers(0, 40)),
)  # fmt: skip
def test_results_are_those_of_nested_loops_whatever_the_disorder_and_the_batches(bounds, how, rows, slower, cuts):
    within = Within(*bounds)
    arrivals = [*with_watermarks(rows, slower), ("left", "last", 1000, 1000)]
    out, late, waiting = run(WindowedJoin(within, how), arrivals, cuts)
    expected, expected_late = oracle(within, how, arrivals)
    if within.after_ms + within.grace_ms >= 0:  # else the last row comes alone and is out by now
        expected = [pair for pair in expected if pair[0] != "last"]
        assert ([row.value for row in waiting.left], waiting.right) == (["last"], [])
    assert (Counter(out), late) == (Counter(expected), expected_late)


@settings(max_examples=200, deadline=None)
@given(
    withins, st.sampled_from(HOWS),
    st.lists(st.tuples(sides, st.integers(0, 60), st.integers(0, 12), st.integers(0, 12)), max_size=40),
)  # fmt: skip
def test_the_order_of_arrival_within_grace_makes_no_difference(bounds, how, rows):
    within = Within(*bounds)
    results = []
    for jitter in (2, 3):
        order = sorted(enumerate(rows), key=lambda r: r[1][1] + min(r[1][jitter], within.grace_ms))
        newest, arrivals = -1000, []
        for number, (side, time_ms, *_) in order:
            newest = max(newest, time_ms)
            arrivals.append((side, number, time_ms, newest))
        join, buffers, out = WindowedJoin(within, how), Buffers(), []
        for side, value, time_ms, watermark in arrivals:
            joined = (join.add_left if side == "left" else join.add_right)(buffers, value, time_ms, watermark)
            assert not joined.late
            out += joined.pairs
        left_over = join.expire(buffers, 1000)
        assert [pair[2] for pair in left_over] == sorted(pair[2] for pair in left_over)
        assert buffers.empty
        out += left_over
        results.append(Counter(out))
    left = [(n, r[1]) for n, r in enumerate(rows) if r[0] == "left"]
    right = [(n, r[1]) for n, r in enumerate(rows) if r[0] == "right"]
    pairs = [(a, b, max(s, t)) for a, s in left for b, t in right if matches(within, s, t)]
    if how != "inner":
        pairs += [(a, None, s) for a, s in left if not any(matches(within, s, t) for _, t in right)]
    if how == "outer":
        pairs += [(None, b, t) for b, t in right if not any(matches(within, s, t) for _, s in left)]
    assert results == [Counter(pairs)] * 2


@settings(max_examples=200, deadline=None)
@given(withins, st.sampled_from(HOWS), st.lists(st.tuples(sides, st.integers(0, 60)), max_size=20))
def test_the_deadline_is_the_first_watermark_that_drops_a_row(bounds, how, rows):
    join, buffers = WindowedJoin(Within(*bounds), how), Buffers()
    for side, value, time_ms, watermark in with_watermarks(rows, False):
        (join.add_left if side == "left" else join.add_right)(buffers, value, time_ms, watermark)
    while (deadline := join.deadline(buffers)) is not None:
        before = msgspec.msgpack.encode(buffers)
        assert join.expire(buffers, deadline - 1) == []
        assert msgspec.msgpack.encode(buffers) == before
        times = [pair[2] for pair in join.expire(buffers, deadline)]
        assert times == sorted(times)
        assert msgspec.msgpack.encode(buffers) != before
    assert buffers.empty


def test_a_row_within_grace_matches_and_one_behind_it_does_not():
    for watermark, met in ((15, True), (16, False)):
        join, buffers = WindowedJoin(Within(5, 5, grace_ms=10), "left"), Buffers()
        join.add_left(buffers, "a", 0, 0)
        joined = join.add_right(buffers, "b", 0, watermark)
        assert joined.pairs == ([("a", "b", 0)] if met else [])
        assert joined.late is not met
        assert join.expire(buffers, watermark) == ([] if met else [("a", None, 0)])


def test_a_row_out_of_order_meets_partners_that_still_wait():
    join, buffers = WindowedJoin(Within(0, 100), "inner"), Buffers()
    join.add_left(buffers, "a", 0, 0)
    joined = join.add_right(buffers, "b", 40, 50)  # no left row of 40 to 50 is expected any more, but this one waits
    assert (joined.pairs, joined.late, buffers.right) == ([("a", "b", 40)], False, [])


def test_a_row_whose_partners_would_have_come_before_it_is_given_out_at_once():
    join, buffers = WindowedJoin(Within(20, -10), "left"), Buffers()
    joined = join.add_left(buffers, "a", 100, 100)
    assert (joined.pairs, joined.late, buffers.empty) == ([("a", None, 100)], False, True)


@pytest.mark.parametrize("bounds", [(5, -6, 0), (-1, 0, 0), (1, 1, -1)])
def test_a_join_that_cannot_match_is_refused(bounds):
    with pytest.raises(ValueError, match="a join"):
        Within(*bounds)


def test_a_hot_key_is_searched_and_not_scanned(monkeypatch):
    looked = 0

    def count(row):
        nonlocal looked
        looked += 1
        return row.time_ms

    join, buffers = WindowedJoin(Within(5, 5, grace_ms=100_000)), Buffers()
    for time_ms in range(10_000):
        join.add_left(buffers, "a", time_ms, time_ms)
        join.add_right(buffers, "b", time_ms, time_ms)
    monkeypatch.setattr(windowed, "row_time", count)
    assert len(join.add_left(buffers, "a", 5_000, 10_000).pairs) == 11
    assert looked < 50


# "Semantics of stream-stream joins" of the developer guide, since 3.1: time, side, value, results by join. Its window
# is given as 10 in one place and 15 in another: that A (3) and D (15) have pairs with d (14) and a (4) needs 11. A row
# without a value is skipped by the engine, as there.
STREAM_STREAM = [
    (3, "left", "A", [], [], []),
    (4, "right", "a", ["Aa"], ["Aa"], ["Aa"]),
    (5, "left", "B", ["Ba"], ["Ba"], ["Ba"]),
    (6, "right", "b", ["Ab", "Bb"], ["Ab", "Bb"], ["Ab", "Bb"]),
    (9, "left", "C", ["Ca", "Cb"], ["Ca", "Cb"], ["Ca", "Cb"]),
    (10, "right", "c", ["Ac", "Bc", "Cc"], ["Ac", "Bc", "Cc"], ["Ac", "Bc", "Cc"]),
    (14, "right", "d", ["Ad", "Bd", "Cd"], ["Ad", "Bd", "Cd"], ["Ad", "Bd", "Cd"]),
    (15, "left", "D", ["Da", "Db", "Dc", "Dd"], ["Da", "Db", "Dc", "Dd"], ["Da", "Db", "Dc", "Dd"]),
    (40, "left", "E", [], [], []),
    (60, "left", "F", [], ["E-"], ["E-"]),
    (80, "right", "f", [], ["F-"], ["F-"]),
    (100, "left", "G", [], [], ["-f"]),
]


@pytest.mark.parametrize(("how", "column"), [("inner", 3), ("left", 4), ("outer", 5)])
def test_kafka_streams_example_of_stream_stream_joins(how, column):
    join, buffers = WindowedJoin(Within(15, 15, grace_ms=0), how), Buffers()
    for row in STREAM_STREAM:
        time_ms, side, value = row[:3]
        out = join.expire(buffers, time_ms)
        out += (join.add_left if side == "left" else join.add_right)(buffers, value, time_ms, time_ms).pairs
        assert [f"{left or '-'}{right or '-'}" for left, right, _ in out] == row[column], row
