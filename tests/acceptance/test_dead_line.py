"""A call whose end never comes, through all stages with their models; the clock is the test's."""

from acceptance_support import Script

from agents import analytics, chunking, insights, results, sentiment, stt
from voicestream import topics
from voicestream.calls.chunker import DEAD_LINE_MS
from voicestream.records import CallMetric, CallSummary, UtteranceResult
from voicestream.testing import TopologyTestDriver

START_MS = 1_700_000_000_000


def test_a_call_without_an_end_is_ended_and_told() -> None:
    script = Script("02-third-outage.wav", "cut-off", START_MS, from_s=21.4, seconds=4.6)
    stages = [module.stage for module in (chunking, stt, sentiment, insights, analytics, results)]
    with TopologyTestDriver(*stages, start_ms=START_MS) as driver:
        driver.topic(topics.calls).send(script.event("started", 0))
        driver.topic(topics.audio).send(*script.audio(0, 4.6))
        driver.advance(DEAD_LINE_MS - 1_000, step_ms=1_000)
        assert not any(isinstance(r, CallSummary) for r in driver.topic(topics.results))
        driver.advance(5_000)
        out = driver.topic(topics.results).read_all()
        metrics = driver.topic(topics.metrics).read_all()
        assert driver.topic(topics.dlq).read_all() == []
    [summary] = [r for r in out if isinstance(r, CallSummary)]
    assert (summary.reason, summary.duration_ms, summary.complete) == ("timeout", 4_600, True)
    assert sum(summary.utterances.values()) >= 2
    assert all(r.complete for r in out if isinstance(r, UtteranceResult))
    assert [m.final for m in metrics if isinstance(m, CallMetric)][-1]
