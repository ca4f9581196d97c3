"""The figures of queues by the minute, as the stage writes them."""

import random
from contextlib import suppress

import pytest

from agents import analytics
from voicestream import topics
from voicestream.records import UtteranceResult, WindowMetric
from voicestream.streams.testing import WorkerKilled
from voicestream.testing import TopologyTestDriver

START_MS = 1_700_000_040_000 // 60_000 * 60_000


def result(call: int, number: int, at_s: float) -> UtteranceResult:
    return UtteranceResult(
        utterance_id=f"{call}/customer/{number}", call_id=str(call), track="customer", number=number, start_ms=0,
        end_ms=1, at_ms=START_MS + round(at_s * 1000), queue="sales", agent=f"a{call % 2}", text="", confidence=1.0,
        language="en", polarity=0.5, latency_ms=100,
    )  # fmt: skip


def windows(driver: TopologyTestDriver) -> dict[str, WindowMetric]:
    """The metric of the highest revision of each window; of one revision all say the same."""
    found: dict[str, WindowMetric] = {}
    for metric in driver.topic(topics.metrics):
        if isinstance(metric, WindowMetric):
            known = found.get(metric.metric_id)
            assert known is None or known.revision != metric.revision or known == metric
            if known is None or metric.revision >= known.revision:
                found[metric.metric_id] = metric
    return found


def test_a_minute_is_told_with_each_result_and_final_when_it_is_over():
    with TopologyTestDriver(analytics.stage) as driver:
        driver.topic(topics.results).send(result(1, 0, 5), result(1, 1, 30), result(1, 2, 69))
        told = [m for m in driver.topic(topics.metrics) if isinstance(m, WindowMetric)]
        assert [(m.window_start_ms, m.revision, m.utterances, m.final) for m in told] == [
            (START_MS, 1, 1, False),
            (START_MS, 2, 2, False),
            (START_MS + 60_000, 1, 1, False),
        ]
        driver.advance(60_400)
        told = [m for m in driver.topic(topics.metrics) if isinstance(m, WindowMetric)]
        assert [(m.window_start_ms, m.revision, m.utterances, m.final) for m in told] == [(START_MS, 3, 2, True)]


def test_a_late_result_goes_to_the_late_topic():
    with TopologyTestDriver(analytics.stage) as driver:
        driver.topic(topics.results).send(result(1, 0, 5), result(1, 1, 90), result(3, 0, 20))
        assert [late.call_id for late in driver.topic(topics.late)] == ["3"]
        assert windows(driver)[f"sales/a1/{START_MS}"].utterances == 1


@pytest.mark.parametrize("seed", range(6))
def test_figures_equal_a_count_wherever_the_workers_die(seed):
    rng = random.Random(seed)
    given = [result(call, n, n * 7 + call / 10) for n in range(30) for call in range(4)]
    with TopologyTestDriver(analytics.stage) as driver:
        for first in range(0, len(given), 6):
            driver.kill_after(rng.randrange(40))
            with suppress(WorkerKilled):
                driver.topic(topics.results).send(*given[first : first + 6])
            driver.restart(replay=rng.randrange(6))
        driver.advance(140_000)
        found = windows(driver)
    truth: dict[str, set[str]] = {}
    for r in given:
        truth.setdefault(f"sales/{r.agent}/{r.at_ms // 60_000 * 60_000}", set()).add(r.utterance_id)
    assert {key: (m.utterances, m.final) for key, m in found.items()} == {
        key: (len(utterances), True) for key, utterances in truth.items()
    }
