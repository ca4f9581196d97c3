"""Windows of queues: against counting, with late and repeated results."""

import random
from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from voicestream.calls.queues import GRACE_MS, KEEP_MS, SIZE_MS, QueueState, add, percentile, tick
from voicestream.records import UtteranceResult


def result(call: int, number: int, at_ms: int, polarity: float, latency: int) -> UtteranceResult:
    return UtteranceResult(
        utterance_id=f"{call}/customer/{number}", call_id=str(call), track="customer", number=number, start_ms=0,
        end_ms=1, at_ms=at_ms, text="", confidence=1.0, language="en", polarity=polarity, latency_ms=latency,
    )  # fmt: skip


drawn = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5 * SIZE_MS), st.floats(-1, 1), st.integers(0, 5000)), max_size=60
)


@given(drawn, st.randoms(use_true_random=False))
def test_the_last_revision_of_every_window_equals_a_count(values, rng: random.Random):
    values.sort(key=lambda v: v[1])
    numbers: dict[int, int] = {}
    results = []
    for call, at_ms, polarity, latency in values:
        results.append(result(call, numbers.setdefault(call, 0), at_ms, polarity, latency))
        numbers[call] += 1
    state, last = QueueState("q", "a"), {}
    for r in results:
        repeats = 1 + (rng.random() < 0.3)
        for metric in [m for _ in range(repeats) for m in add(state, r, r.at_ms)]:
            assert metric.revision == last[metric.metric_id].revision + 1 if metric.metric_id in last else True
            last[metric.metric_id] = metric
    for metric in tick(state, 7 * SIZE_MS + GRACE_MS):
        last[metric.metric_id] = metric
    for start in {r.at_ms // SIZE_MS * SIZE_MS for r in results}:
        mine = [r for r in results if r.at_ms // SIZE_MS * SIZE_MS == start]
        metric = last[f"q/a/{start}"]
        assert metric.final
        assert (metric.utterances, metric.calls) == (len(mine), len({r.call_id for r in mine}))
        assert abs(metric.polarity - sum(r.polarity for r in mine) / len(mine)) < 1e-9
        assert metric.latency_p50_ms == percentile(Counter(round(r.latency_ms, -1) for r in mine), 0.5)
    assert len(last) == len({r.at_ms // SIZE_MS for r in results})


def test_a_late_result_revises_its_window():
    state = QueueState("q", "a")
    add(state, result(1, 0, 10, 0.5, 100), 10)
    [_, closed] = add(state, result(1, 1, SIZE_MS + GRACE_MS + 1, 0.5, 100), SIZE_MS)
    assert (closed.final, closed.utterances, closed.window_start_ms) == (True, 1, 0)
    [late] = add(state, result(2, 0, 20, -0.5, 100), SIZE_MS)
    assert (late.final, late.utterances, late.polarity) == (True, 2, 0.0)
    assert late.revision == closed.revision + 1


def test_percentiles_by_nearest_rank():
    counts = dict.fromkeys(range(1, 101), 1)
    assert [percentile(counts, p) for p in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert percentile({7: 1}, 0.5) == 7
    assert percentile({9: 1, 1: 98, 5: 1}, 0.99) == 5
    assert percentile({}, 0.5) is None


def test_all_calls_in_one_queue_fit_a_message_of_the_changelog():
    state, rng = QueueState("", ""), random.Random(1)
    calls = [f"CA{call:034x}" for call in range(300)]
    for minute in range(12):
        for number in range(3):
            for call in calls:
                at_ms = minute * SIZE_MS + number * 20_000
                said = result(0, minute * 3 + number, at_ms, 0.5, rng.randrange(10_000))
                add(state, msgspec.structs.replace(said, call_id=call), said.at_ms)
        tick(state, (minute + 1) * SIZE_MS)
    assert len(msgspec.msgpack.encode(state)) < 100_000


def test_a_window_is_kept_while_a_worker_catches_up_on_it():
    """After an outage the windows are long past by the clock, and their results still come."""
    state = QueueState("sales", "ann")
    now_ms = 10 * KEEP_MS
    for number in range(5):
        metrics = [*add(state, result(1, number, 10 + number, 0.5, 100), now_ms), *tick(state, now_ms)]
        now_ms += 1_000
    assert (metrics[-1].utterances, metrics[-1].revision, metrics[-1].final) == (5, 6, True)
    tick(state, now_ms + SIZE_MS + KEEP_MS)
    assert state.windows == {}
