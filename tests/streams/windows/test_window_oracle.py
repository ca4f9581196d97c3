"""Every kind of window with every aggregator gives what a naive computation from all records gives."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from window_oracle import Bounds, FixedOracle, Oracle, SessionOracle, SlidingOracle

from voicestream.streams.aggregators import (
    Aggregator,
    Collect,
    Count,
    Distinct,
    Fold,
    Max,
    Mean,
    Min,
    Percentile,
    Reduce,
    Several,
    Sum,
    TopK,
)
from voicestream.streams.windows import Pane, Windows, hopping, session, sliding, tumbling

sizes = st.integers(1, 15)
graces = st.integers(0, 15)


@st.composite
def hoppings(draw: st.DrawFn) -> tuple[Windows, Oracle]:
    size, grace = draw(sizes), draw(graces)
    advance = draw(st.integers(1, size))
    return hopping(size, advance, grace), FixedOracle(size, advance, grace)


KINDS = {
    "tumbling": st.builds(lambda size, grace: (tumbling(size, grace), FixedOracle(size, size, grace)), sizes, graces),
    "hopping": hoppings(),
    "sliding": st.builds(lambda size, grace: (sliding(size, grace), SlidingOracle(size, grace)), sizes, graces),
    "session": st.builds(lambda gap, grace: (session(gap, grace), SessionOracle(gap, grace)), sizes, graces),
}

Case = tuple[Aggregator[int, Any, Any], Callable[[list[int]], Any]]
CASES: dict[str, Case] = {
    "count": (Count(), len),
    "sum": (Sum(), lambda values: float(sum(values))),
    "mean": (Mean(), lambda values: math.fsum(values) / len(values)),
    "min": (Min(), min),
    "max": (Max(), max),
    "collect": (Collect(int), list),
    "fold": (Fold(int, lambda state, v: state + v * v, int.__add__), lambda values: sum(v * v for v in values)),
    "reduce": (Reduce(max, int), max),
    "percentile": (Percentile(0, 1), lambda values: {"p0": min(values), "p100": max(values)}),
    "topk": (
        TopK(2, of=str),
        lambda values: sorted(Counter(map(str, values)).items(), key=lambda item: (-item[1], item[0]))[:2],
    ),
    "distinct": (Distinct(of=str), lambda values: len(set(values))),
    "several": (Several(n=Count(), top=Max()), lambda values: {"n": len(values), "top": max(values)}),
}

Step = tuple[int, int, int, bool, bool]
"""Time after the highest, value, watermark after the highest time, whether to close, whether to store and load."""
steps = st.lists(
    st.tuples(st.integers(-15, 12), st.integers(-3, 3), st.integers(-3, 3), st.booleans(), st.booleans()), max_size=25
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=400, deadline=None)
@given(data=st.data(), steps=steps, case=st.sampled_from(sorted(CASES)), high=st.integers(0, 40))
def test_windows_give_what_the_oracle_gives(kind: str, data: st.DataObject, steps: list[Step], case: str, high: int):
    windows, oracle = data.draw(KINDS[kind])
    aggregator, naive = CASES[case]
    by_order = kind != "session" or case != "collect"  # the values of merged sessions are not in order of coming

    def shown(result: Any) -> Any:
        return result if by_order else sorted(result)

    decode = msgspec.msgpack.Decoder(list[Pane[aggregator.state_type]]).decode  # type: ignore[name-defined]
    panes: list[Pane[Any]] = []
    current: dict[Bounds, Any] = {}
    finals: list[tuple[Bounds, Any]] = []
    watermark = 0

    def close() -> None:
        due = windows.deadline(panes)
        closed = windows.close(panes, watermark)
        assert due is None or (due <= watermark) == (bool(closed) or not panes)
        finals.extend(((p.start_ms, p.end_ms), shown(aggregator.result(p.state))) for p in closed)

    for after, value, ahead, closes, stores in steps:
        time = max(0, high + after)
        high = max(high, time)
        watermark = max(watermark, high + ahead)
        added = windows.add(panes, value, time, watermark, aggregator)
        assert added.late == oracle.add(time, value, watermark)
        for pane in added.removed:
            del current[pane.start_ms, pane.end_ms]
        for pane in added.changed:
            current[pane.start_ms, pane.end_ms] = shown(aggregator.result(pane.state))
        ends = [(p.end_ms, p.start_ms) for p in added.changed]
        assert ends == sorted(ends)
        expected = {b: shown(naive(values)) for b, values in oracle.open(watermark).items()}
        assert {b: current.get(b) for b in expected} == expected
        assert all(b in expected for b in current if b[1] + windows.delay_ms > watermark)
        if closes:
            close()
        if stores:
            panes = decode(msgspec.msgpack.encode(panes))
    for ahead in (0, 20, 1000):
        watermark += ahead
        close()
        assert finals == [(b, shown(naive(values))) for b, values in oracle.finals(watermark)]
    assert panes == []
    assert windows.deadline(panes) is None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data(), steps=steps)
def test_the_deadline_is_the_smallest_watermark_that_closes(kind: str, data: st.DataObject, steps: list[Step]):
    windows, _ = data.draw(KINDS[kind])
    panes: list[Pane[int]] = []
    high = 20
    for after, value, *_ in steps:
        high = max(high, high + after)
        windows.add(panes, value, max(0, high + after), high, Count())
    windows.close(panes, high)
    while (due := windows.deadline(panes)) is not None:
        assert due > high
        assert windows.close(panes, due - 1) == []
        assert panes
        assert windows.close(panes, due) or not panes
        high = due
