"""As-of joins against a search through the whole input."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicestream.streams.joins.asof import AsOfJoin
from voicestream.streams.joins.rows import Buffers

ROWS = msgspec.msgpack.Decoder(Buffers[str, str])

sides = st.sampled_from(("left", "right"))
hows = st.sampled_from(("inner", "left"))
tolerances = st.none() | st.integers(0, 15)


def partner(rights, time_ms, tolerance_ms):
    """Of the last right row of each time, the newest that is not newer than ``time_ms``."""
    return max(
        ((at, number, value) for number, (value, at) in enumerate(rights)
         if at <= time_ms and (tolerance_ms is None or at + tolerance_ms >= time_ms)),
        default=(0, 0, None),
    )[2]  # fmt: skip


def oracle(how, grace_ms, tolerance_ms, arrivals):
    out, late, lefts, rights = [], [], [], []
    for side, value, time_ms, watermark in arrivals:
        due = sorted((row for row in lefts if row[1] + grace_ms < watermark), key=lambda row: row[1])
        lefts = [row for row in lefts if row not in due]
        out += [(name, partner(rights, at, tolerance_ms), at) for name, at in due]
        horizon = watermark - grace_ms
        if side == "left":
            if time_ms < horizon:
                late.append(value)
            else:
                lefts.append((value, time_ms))
        elif any(time_ms < at <= horizon for _, at in rights) or (
            tolerance_ms is not None and time_ms + tolerance_ms < horizon
        ):
            late.append(value)
        else:
            rights.append((value, time_ms))
    return [pair for pair in out if how == "left" or pair[1] is not None], late


def run(join, arrivals, cuts):
    buffers, out, late = Buffers(), [], []
    for number, (side, value, time_ms, watermark) in enumerate(arrivals):
        joined = (join.add_left if side == "left" else join.add_right)(buffers, value, time_ms, watermark)
        out += joined.pairs
        late += [value] * joined.late
        if number in cuts:
            out += join.expire(buffers, watermark)
            buffers = ROWS.decode(msgspec.msgpack.encode(buffers))
    return out, late, buffers


def with_watermarks(rows, of_the_slower=False):
    newest = {"left": -1000, "right": -1000}
    for number, (side, time_ms) in enumerate(rows):
        newest[side] = max(newest[side], time_ms)
        yield side, f"{side}{number}", time_ms, (min if of_the_slower else max)(newest.values())


@settings(max_examples=300, deadline=None)
@given(
    hows, st.integers(0, 12), tolerances, st.lists(st.tuples(sides, st.integers(0, 60)), max_size=40), st.booleans(),
    st.sets(st.integers(0, 40)),
)  # fmt: skip
def test_results_are_those_of_a_search_whatever_the_disorder_and_the_batches(how, grace, tolerance, rows, slower, cuts):
    arrivals = [*with_watermarks(rows, slower), ("left", "last", 1000, 1000)]
    out, late, waiting = run(AsOfJoin(how, grace_ms=grace, tolerance_ms=tolerance), arrivals, cuts)
    assert (out, late) == oracle(how, grace, tolerance, arrivals)
    assert [row.value for row in waiting.left] == ["last"]
    assert len(waiting.right) <= (1 if tolerance is None else 0)


@settings(max_examples=200, deadline=None)
@given(
    hows, st.integers(0, 12), tolerances,
    st.lists(st.tuples(sides, st.integers(0, 60), st.integers(0, 12)), max_size=40, unique_by=lambda r: r[:2]),
)  # fmt: skip
def test_the_order_of_arrival_within_grace_makes_no_difference(how, grace, tolerance, rows):
    rows.sort(key=lambda row: row[1] + min(row[2], grace))
    arrivals = [*with_watermarks([row[:2] for row in rows]), ("right", "last", 1000, 1000)]
    out, late, _ = run(AsOfJoin(how, grace_ms=grace, tolerance_ms=tolerance), arrivals, ())
    rights = [(value, at) for side, value, at, _ in arrivals if side == "right"]
    lefts = sorted(((value, at) for side, value, at, _ in arrivals if side == "left"), key=lambda row: row[1])
    expected = [(value, partner(rights, at, tolerance), at) for value, at in lefts]
    assert out == [pair for pair in expected if how == "left" or pair[1] is not None]
    assert late == []


@settings(max_examples=200, deadline=None)
@given(hows, st.integers(0, 12), tolerances, st.lists(st.tuples(sides, st.integers(0, 60)), max_size=20))
def test_the_deadline_is_the_first_watermark_at_which_a_row_is_due(how, grace, tolerance, rows):
    join, buffers = AsOfJoin(how, grace_ms=grace, tolerance_ms=tolerance), Buffers()
    for side, value, time_ms, watermark in with_watermarks(rows):
        (join.add_left if side == "left" else join.add_right)(buffers, value, time_ms, watermark)
    while (deadline := join.deadline(buffers)) is not None:
        lefts = len(buffers.left)
        oldest = buffers.right[:1]
        assert join.expire(buffers, deadline - 1) == []
        assert len(buffers.left) == lefts
        join.expire(buffers, deadline)
        assert len(buffers.left) < lefts or buffers.right[:1] != oldest
    assert not buffers.left
    assert tolerance is None or not buffers.right


def test_an_answer_waits_for_the_grace():
    join, buffers = AsOfJoin(grace_ms=10), Buffers()
    join.add_right(buffers, "old", 0, 0)
    assert join.add_left(buffers, "a", 100, 100).pairs == []
    assert join.add_right(buffers, "new", 95, 105).pairs == []
    assert join.expire(buffers, 110) == []
    assert join.expire(buffers, 111) == [("a", "new", 100)]


def test_a_late_right_row_still_counts_for_rows_to_come_when_it_is_the_newest():
    join, buffers = AsOfJoin(), Buffers()
    join.add_right(buffers, "first", 10, 10)
    assert not join.add_right(buffers, "late but newest", 50, 90).late
    assert join.add_right(buffers, "replaced", 40, 90).late
    join.add_left(buffers, "a", 100, 100)
    assert join.expire(buffers, 101) == [("a", "late but newest", 100)]


def test_only_the_newest_of_the_old_right_rows_is_kept():
    join, buffers = AsOfJoin(grace_ms=5), Buffers()
    for time_ms in range(1000):
        join.add_right(buffers, f"r{time_ms}", time_ms, time_ms)
    assert [row.time_ms for row in buffers.right] == [994, 995, 996, 997, 998, 999]


def test_negative_times_are_refused():
    with pytest.raises(ValueError, match="must be 0 or more"):
        AsOfJoin(grace_ms=-1)
