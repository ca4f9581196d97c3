"""Kafka Streams' own examples of its windows, from its documentation and its tests."""

from datetime import timedelta
from typing import Any

import pytest

from voicestream.streams.aggregators import Collect, Count, Fold
from voicestream.streams.errors import TopologyError
from voicestream.streams.windows import Pane, Windows, hopping, session, sliding, tumbling

TEXT = Fold(lambda: "0", lambda state, value: f"{state}+{value}")
"""Shows which values came in which order, as in Kafka's tests."""


def _bounds(panes: list[Pane[Any]]) -> list[tuple[int, int]]:
    return [(p.start_ms, p.end_ms) for p in panes]


def test_tumbling_windows_are_aligned_to_the_epoch():
    """Developer guide: windows of 5,000 ms have the bounds [0;5000), [5000;10000), not [1000;6000), [6000;11000)."""
    panes: list[Pane[int]] = []
    for time in (1000, 4999, 5000, 9999):
        tumbling("5s").add(panes, None, time, 0, Count())
    assert [(p.start_ms, p.end_ms, p.state) for p in panes] == [(0, 5000, 2), (5000, 10000, 2)]


def test_hopping_windows_are_aligned_to_the_epoch():
    """Developer guide: 5,000 ms that advance by 3,000 ms: [0;5000), [3000;8000), not [1000;6000), [4000;9000)."""
    panes: list[Pane[int]] = []
    for time in (0, 3000, 4999, 5000):
        hopping("5s", "3s").add(panes, None, time, 0, Count())
    assert [(p.start_ms, p.end_ms, p.state) for p in panes] == [(0, 5000, 3), (3000, 8000, 3)]


@pytest.mark.parametrize(("watermark", "late"), [(69_999, False), (70_000, True)])
def test_a_fixed_window_is_closed_when_stream_time_reaches_its_end_and_grace(watermark: int, late: bool):
    panes: list[Pane[int]] = []
    windows = tumbling("1m", "10s")
    assert windows.add(panes, None, 59_999, watermark, Count()).late == late
    assert bool(windows.close([Pane(0, 60_000, 1)], watermark)) == late


def test_a_hopping_record_goes_into_those_of_its_windows_that_are_open():
    panes: list[Pane[int]] = []
    added = hopping(10, 5).add(panes, None, 7, 11, Count())
    assert not added.late
    assert _bounds(panes) == [(5, 15)]
    assert hopping(10, 5).add(panes, None, 7, 15, Count()).late


def test_sliding_windows_of_the_documentation():
    """Documentation of SlidingWindows, time difference 5,000 ms."""
    panes: list[Pane[list[int]]] = []
    for value, time in ((1, 8000), (2, 9200), (3, 12400)):
        sliding("5s", grace="1m").add(panes, value, time, time, Collect(int))
    assert {(p.start_ms, p.end_ms): p.state for p in panes} == {
        (3000, 8000): [1],
        (4200, 9200): [1, 2],
        (7400, 12400): [1, 2, 3],
        (8001, 13001): [2, 3],
        (9201, 14201): [3],
    }


def test_every_update_of_sliding_windows():
    """KStreamSlidingWindowAggregateTest.testAggregateSmallInput, emitting each update."""
    panes: list[Pane[str]] = []
    updates: dict[int, list[str]] = {}
    for value, time in enumerate((10, 10, 14, 15, 20, 22, 30), 1):
        for pane in sliding(10, grace=5).add(panes, value, time, time, TEXT).changed:
            updates.setdefault(pane.start_ms, []).append(pane.state)
    assert updates == {
        0: ["0+1", "0+1+2"],
        4: ["0+1+2+3"],
        5: ["0+1+2+3+4"],
        10: ["0+1+2+3+4+5"],
        11: ["0+3", "0+3+4", "0+3+4+5"],
        12: ["0+3+4+5+6"],
        15: ["0+4", "0+4+5", "0+4+5+6"],
        16: ["0+5", "0+5+6"],
        20: ["0+5+6+7"],
        21: ["0+6", "0+6+7"],
        23: ["0+7"],
    }


def test_final_results_of_sliding_windows_with_late_records():
    """KStreamSlidingWindowAggregateTest.testAggregateLargeInput, emitting on close, grace 10 ms."""
    records = [("A", 1, 10), ("A", 2, 20), ("A", 3, 22), ("A", 4, 15)]
    records += [("B", 1, 12), ("B", 2, 13), ("B", 3, 18), ("B", 4, 19), ("B", 5, 25), ("B", 6, 14)]
    records += [("C", 1, 11), ("C", 2, 15), ("C", 3, 16), ("C", 4, 21), ("C", 5, 23)]
    records += [("D", 4, 11), ("D", 2, 12), ("D", 3, 29), ("D", 5, 16)]
    windows = sliding(10, grace=10)
    keys: dict[str, list[Pane[str]]] = {}
    watermark = 0
    for key, value, time in records:
        watermark = max(watermark, time)
        assert not windows.add(keys.setdefault(key, []), value, time, watermark, TEXT).late
    finals = [(key, p.start_ms, p.end_ms, p.state) for key in keys for p in windows.close(keys[key], watermark)]
    # Where Kafka Streams has 0+2 and 0+2+3 for C at 15 and 16: its first record, at 11, came when [1, 11] was closed,
    # and with it was left out of what later windows start from, though these were open.
    assert finals == [
        ("A", 0, 10, "0+1"),
        ("A", 5, 15, "0+1+4"),
        ("B", 2, 12, "0+1"),
        ("B", 3, 13, "0+1+2"),
        ("B", 8, 18, "0+1+2+3+6"),
        ("C", 5, 15, "0+1+2"),
        ("C", 6, 16, "0+1+2+3"),
    ]


def test_a_record_between_two_sessions_makes_them_one():
    """Documentation of SessionWindows, gap 5."""
    windows, panes = session(5, grace=10), list[Pane[list[int]]]()
    for value, time in ((1, 10), (2, 12), (3, 20)):
        windows.add(panes, value, time, time, Collect(int))
    assert [(p.start_ms, p.end_ms, p.state) for p in panes] == [(10, 12, [1, 2]), (20, 20, [3])]
    added = windows.add(panes, 4, 16, 20, Collect(int))
    assert _bounds(list(added.removed)) == [(10, 12), (20, 20)]
    assert [(p.start_ms, p.end_ms, sorted(p.state)) for p in panes] == [(10, 20, [1, 2, 3, 4])]


def test_sessions_are_apart_by_more_than_the_gap():
    """KStreamSessionWindowAggregateProcessorTest.shouldHandleMultipleSessionsAndMerging, gap 300,000 ms."""
    gap = 5 * 60 * 1000
    times = {"a": [0, gap + 1, gap + 1 + gap // 2], "b": [0, gap + 1], "c": [0, gap + 1 + gap // 2], "d": [0, gap // 2]}
    sessions = {}
    for key, each in times.items():
        panes: list[Pane[int]] = []
        for time in each:
            session("5m").add(panes, None, time, time, Count())
        sessions[key] = [(p.start_ms, p.end_ms, p.state) for p in panes]
    assert sessions == {
        "a": [(0, 0, 1), (gap + 1, gap + 1 + gap // 2, 2)],
        "b": [(0, 0, 1), (gap + 1, gap + 1, 1)],
        "c": [(0, 0, 1), (gap + 1 + gap // 2, gap + 1 + gap // 2, 1)],
        "d": [(0, gap // 2, 2)],
    }


@pytest.mark.parametrize(("grace", "last_in_time"), [(0, 10), (1, 11)])
def test_a_session_takes_records_until_gap_and_grace_are_over(grace: int, last_in_time: int):
    """KStreamSessionWindowAggregateProcessorTest, late records: gap 10 ms."""
    windows = session(10, grace)
    assert not windows.add([], None, 0, last_in_time, Count()).late
    assert windows.add([], None, 0, last_in_time + 1, Count()).late


def test_a_closed_session_is_not_joined_to_an_open_one():
    windows = session(10)
    panes = [Pane(0, 0, 1), Pane(18, 18, 1)]
    added = windows.add(panes, None, 9, 11, Count())
    assert _bounds(list(added.removed)) == [(18, 18)]
    assert [(p.start_ms, p.end_ms, p.state) for p in panes] == [(0, 0, 1), (9, 18, 2)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: tumbling(0), "size"),
        (lambda: tumbling("soon"), "soon"),
        (lambda: hopping("1m", 0), "advance"),
        (lambda: hopping("1m", "2m"), "in none"),
        (lambda: sliding("1m", grace=-1), "-1"),
        (lambda: session(0), "gap"),
        (lambda: session("1m").check(Fold(int, lambda state, value: state + value)), "merge"),
        (lambda: Fold(list, lambda state, value: [*state, value]), "type="),
    ],
)
def test_windows_that_cannot_be_are_refused(make: Any, named: str):
    with pytest.raises(TopologyError, match=named):
        make()


def test_durations_and_equality():
    assert tumbling("1m", "10s") == tumbling(timedelta(minutes=1), 10_000)
    kinds: set[Windows] = {tumbling("1m"), hopping("1m", "1m"), sliding("1m"), session("1m")}
    assert len(kinds) == 4
