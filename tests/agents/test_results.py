"""One result an utterance and one summary a call, in whatever order the parts come and whoever dies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import analytics, results
from tests.samples import transcript
from voicestream import topics
from voicestream.calls.assembly import GIVE_UP_MS, ROUTING_MS
from voicestream.records import (
    CallEvent,
    CallMetric,
    CallSummary,
    EndOfCall,
    EndOfUtterance,
    Insight,
    RoutingDecision,
    Sentiment,
    UtteranceResult,
    WindowMetric,
)
from voicestream.testing import TopologyTestDriver

START_MS = 1_700_000_000_000
SAID = [("agent", 0, "Good morning."), ("customer", 0, "It is too expensive."), ("agent", 1, "I see."),
        ("customer", 1, "Thank you.")]  # fmt: skip


def utterance(track, number, text, order):
    common = {"utterance_id": f"c/{track}/{number}", "call_id": "c", "track": track, "number": number,
              "at_ms": START_MS + 5_000 * order}  # fmt: skip
    said = transcript(**common, text=text, start_ms=5_000 * order, end_ms=5_000 * order + 3_000, words=[])
    mood = Sentiment(**common, source="text", polarity=0.5, label="positive", confidence=0.9, emotion="joy",
                     emotions={"joy": 1.0}, model="m", inference_ms=3.0)  # fmt: skip
    tone = Sentiment(**common, source="voice", arousal=0.5, model="p", inference_ms=1.0)
    insight = Insight.of(said, kind="objection", label="price", confidence=0.9) if "expensive" in text else None
    done = EndOfUtterance(**common, stage="insights")
    return said, mood, tone, insight, done


def ends(stage):
    return EndOfCall(call_id="c", stage=stage, at_ms=START_MS + 20_000, duration_ms=20_000, reason="completed")


def streams():
    """What each topic carries, in order; voice and text are two agents' outputs on one topic, each in order."""
    parts = [utterance(track, number, text, order) for order, (track, number, text) in enumerate(SAID)]
    started = CallEvent(event_id="c/started/0", call_id="c", kind="started", sequence=0, at_ms=START_MS,
                        protocol="raw", queue="sales", agent="ann", customer="Dana")  # fmt: skip
    alert = RoutingDecision(decision_id="c/r/0", call_id="c", at_ms=START_MS, rule="price_objection", action="coach",
                            priority=3, reason="because")  # fmt: skip
    return [
        [(topics.calls, started)],
        [(topics.routing, alert)],
        [*((topics.transcripts, p[0]) for p in parts), (topics.transcripts, ends("stt"))],
        [*((topics.sentiment, p[1]) for p in parts), (topics.sentiment, ends("sentiment"))],
        [*((topics.sentiment, p[2]) for p in parts), (topics.sentiment, ends("voice"))],
        [
            *((topics.insights, r) for p in parts for r in (p[3], p[4]) if r is not None),
            (topics.insights, ends("insights")),
        ],
    ]


def check(out):
    utterances = [r for r in out if isinstance(r, UtteranceResult)]
    for track in ("agent", "customer"):
        assert [u.number for u in utterances if u.track == track] == [0, 1]
    assert all(u.complete and u.polarity == 0.5 and u.arousal == 0.5 for u in utterances)
    assert [[i.kind for i in u.insights] for u in sorted(utterances, key=lambda u: u.at_ms)] == [
        [], ["objection"], [], []
    ]  # fmt: skip
    [summary] = [r for r in out if isinstance(r, CallSummary)]
    assert (summary.complete, summary.utterances) == (True, {"agent": 2, "customer": 2})
    assert summary.insights == {"objection": 1}
    return summary


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_parts_in_any_order_of_the_topics_make_each_result_once(data):
    waiting = streams()
    sent = 0
    kill = data.draw(st.integers(0, 24), label="kill after")
    with TopologyTestDriver(results.stage, start_ms=START_MS + 30_000) as driver:
        while any(waiting):
            stream = data.draw(st.sampled_from([s for s in waiting if s]))
            topic, record = stream.pop(0)
            driver.topic(topic).send(record)
            sent += 1
            if sent == kill:
                driver.restart(replay=data.draw(st.integers(0, 10), label="replay"))
        driver.advance(ROUTING_MS + 1_000)
        summary = check(driver.topic(topics.results).read_all())
        driver.advance(10_000)
        assert driver.topic(topics.results).read_all() == []
        assert driver.topic(topics.dlq).read_all() == []
    assert summary.routing == ["price_objection"]


def send_all(driver, skip=lambda record: False):
    for stream in streams():
        for topic, record in stream:
            if not skip(record):
                driver.topic(topic).send(record)


def test_the_summary_tells_the_call():
    with TopologyTestDriver(results.stage) as driver:
        send_all(driver)
        driver.advance(ROUTING_MS + 1_000)
        summary = check(driver.topic(topics.results).read_all())
    assert (summary.queue, summary.agent, summary.customer, summary.reason) == ("sales", "ann", "Dana", "completed")
    assert summary.text == (
        "Dana spoke with ann (sales) for 20 s. The customer was positive throughout. The customer objected. "
        "Rules that fired: price objection."
    )


def test_a_part_that_failed_does_not_hold_the_others_up():
    lost = Sentiment, "c/customer/0"
    with TopologyTestDriver(results.stage) as driver:
        send_all(driver, skip=lambda r: isinstance(r, lost[0]) and r.utterance_id == lost[1] and r.source == "text")
        out = driver.topic(topics.results).read_all()
    assert {u.utterance_id: u.complete for u in out} == {
        "c/agent/0": True, "c/customer/0": False, "c/agent/1": True, "c/customer/1": True
    }  # fmt: skip


def test_a_stage_that_is_away_is_waited_for():
    with TopologyTestDriver(results.stage) as driver:
        send_all(driver, skip=lambda r: isinstance(r, Insight | EndOfUtterance) or r == ends("insights"))
        driver.advance(60_000)
        assert driver.topic(topics.results).read_all() == []
        for topic, record in streams()[-1]:
            driver.topic(topic).send(record)
        driver.advance(ROUTING_MS + 1_000)
        check(driver.topic(topics.results).read_all())


def test_a_stage_that_never_comes_back_does_not_keep_the_call_for_ever():
    with TopologyTestDriver(results.stage) as driver:
        send_all(driver, skip=lambda r: r == ends("voice"))
        driver.advance(GIVE_UP_MS + 1_000, step_ms=10_000)
        out = driver.topic(topics.results).read_all()
    assert isinstance(out[-1], CallSummary)
    assert not out[-1].complete


def test_a_sound_without_words_makes_no_result():
    with TopologyTestDriver(results.stage) as driver:
        send_all(
            driver, skip=lambda r: getattr(r, "utterance_id", "") == "c/agent/0" and getattr(r, "source", "") != "voice"
        )
        driver.advance(ROUTING_MS + 1_000)
        out = driver.topic(topics.results).read_all()
    assert [u.utterance_id for u in out if isinstance(u, UtteranceResult)] == [
        "c/customer/0", "c/agent/1", "c/customer/1"
    ]  # fmt: skip


def test_live_figures_end_as_the_summary_says():
    with TopologyTestDriver(results.stage, analytics.stage, start_ms=START_MS) as driver:
        send_all(driver)
        driver.advance(ROUTING_MS + 1_000)
        summary = check(driver.topic(topics.results).read_all())
        metrics = driver.topic(topics.metrics).read_all()
        calls = [m for m in metrics if isinstance(m, CallMetric)]
        assert [m.revision for m in calls] == [1, 2, 3, 4, 5]
        assert calls[-1].final
        assert (calls[-1].talk_ms, calls[-1].silence_ms) == (summary.talk_ms, summary.silence_ms)
        windows = [m for m in metrics if isinstance(m, WindowMetric)]
        driver.advance(180_000, step_ms=1_000)
        windows += [m for m in driver.topic(topics.metrics).read_all() if isinstance(m, WindowMetric)]
    minutes = {m.metric_id for m in windows}
    last = {metric: max((w for w in windows if w.metric_id == metric), key=lambda w: w.revision) for metric in minutes}
    assert all(window.final for window in last.values())
    assert sum(window.utterances for window in last.values()) == 4
    assert {window.queue for window in last.values()} == {"sales"}
    assert sum(window.insights.get("objection", 0) for window in last.values()) == 1


@pytest.mark.parametrize("replay", [0, 2, 50])
def test_figures_count_each_utterance_once_whatever_is_replayed(replay):
    with TopologyTestDriver(results.stage, analytics.stage, start_ms=START_MS) as driver:
        send_all(driver, skip=lambda r: isinstance(r, EndOfCall))
        driver.restart(replay=replay)
        for stage in ("stt", "sentiment", "voice", "insights"):
            topic = {"stt": topics.transcripts, "insights": topics.insights}.get(stage, topics.sentiment)
            driver.topic(topic).send(ends(stage))
        driver.advance(ROUTING_MS + 1_000)
        [summary] = [r for r in driver.topic(topics.results).read_all() if isinstance(r, CallSummary)]
        windows = [m for m in driver.topic(topics.metrics).read_all() if isinstance(m, WindowMetric)]
    assert summary.utterances == {"agent": 2, "customer": 2}
    last = {w.metric_id: w.utterances for w in sorted(windows, key=lambda w: w.revision)}
    assert sum(last.values()) == 4
