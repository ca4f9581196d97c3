"""The figures of a minute: against counting, with repeated results."""

import random
from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from voicestream.calls.minutes import Minute, add, metric, percentile
from voicestream.records import UtteranceResult
from voicestream.streams.windows import Windowed


def result(call: int | str, number: int, polarity: float, latency: int) -> UtteranceResult:
    return UtteranceResult(
        utterance_id=f"{call}/customer/{number}", call_id=str(call), track="customer", number=number, start_ms=0,
        end_ms=1, at_ms=number, text="", confidence=1.0, language="en", polarity=polarity, latency_ms=latency,
    )  # fmt: skip


drawn = st.lists(st.tuples(st.integers(0, 4), st.floats(-1, 1), st.integers(0, 5000)), min_size=1, max_size=60)


@given(drawn, st.randoms(use_true_random=False))
def test_the_figures_of_a_minute_equal_a_count(values, rng: random.Random):
    numbers: Counter[int] = Counter()
    results = []
    for call, polarity, latency in values:
        results.append(result(call, numbers[call], polarity, latency))
        numbers[call] += 1
    minute = Minute()
    for r in results:
        for _ in range(1 + (rng.random() < 0.3)):
            minute = add(minute, r)
    last, final = (metric(Windowed("q/a", 0, 60_000, minute, final)) for final in (False, True))
    assert (last.metric_id, last.queue, last.agent) == ("q/a/0", "", "")
    assert (last.utterances, last.calls) == (len(results), len(numbers))
    assert abs(last.polarity - sum(r.polarity for r in results) / len(results)) < 1e-9
    assert last.latency_p50_ms == percentile(Counter(round(r.latency_ms, -1) for r in results), 0.5)
    assert (final.revision, final.final) == (last.revision + 1, True)


def test_percentiles_by_nearest_rank():
    counts = dict.fromkeys(range(1, 101), 1)
    assert [percentile(counts, p) for p in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert percentile({7: 1}, 0.5) == 7
    assert percentile({9: 1, 1: 98, 5: 1}, 0.99) == 5
    assert percentile({}, 0.5) is None


def test_all_calls_in_one_queue_fit_a_message_of_the_changelog():
    rng = random.Random(1)
    minute = Minute()
    for number in range(3):
        for call in range(1_000):
            add(minute, result(f"CA{call:034x}", number, 0.5, rng.randrange(10_000)))
    assert len(msgspec.msgpack.encode(minute)) < 100_000
