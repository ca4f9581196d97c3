"""A stage that was killed says again what it had not committed: what comes of a call is the same."""

import msgspec
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_results import START_MS, check, ends, streams

from agents import results, sentiment
from tests.samples import transcript
from voicestream import topics
from voicestream.calls.assembly import GIVE_UP_MS, ROUTING_MS
from voicestream.records import CallEvent, CallSummary, EndOfCall, RoutingDecision, Sentiment, SpeechSegment
from voicestream.testing import TopologyTestDriver


@settings(max_examples=40, deadline=None, phases=set(Phase) - {Phase.shrink})  # to shrink takes minutes
@given(st.data())
def test_a_stage_that_says_its_last_things_again_changes_nothing(data):
    waiting = streams()
    for stream in waiting:
        killed = data.draw(st.integers(1, len(stream)), label="killed after")
        again = data.draw(st.integers(0, killed), label="committed")
        stream[killed:killed] = stream[again:killed]
    with TopologyTestDriver(results.stage, start_ms=START_MS + 30_000) as driver:
        while any(waiting):
            topic, record = data.draw(st.sampled_from([s for s in waiting if s])).pop(0)
            driver.topic(topic).send(record)
        driver.advance(ROUTING_MS + 1_000)
        summary = check(driver.topic(topics.results).read_all())
        assert driver.topic(topics.dlq).read_all() == []
    assert summary.routing == ["price_objection"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_the_summary_has_the_rules_in_the_order_of_the_call(order):
    """Routing reads several topics, so what it decides on one utterance comes in any order."""
    fired = [("leaving", 1), ("angry", 2), ("offer", 2)]
    with TopologyTestDriver(results.stage, start_ms=START_MS) as driver:
        for n in order:
            rule, at_ms = fired[n]
            driver.topic(topics.routing).send(
                RoutingDecision(decision_id=f"c/{rule}/0", call_id="c", at_ms=START_MS + at_ms, rule=rule,
                                action="alert", priority=3, reason="because")
            )  # fmt: skip
        for stream in streams()[2:]:
            topic, record = stream[-1]
            driver.topic(topic).send(record)
        driver.advance(10_000)
        [summary] = driver.topic(topics.results).read_all()
    assert summary.routing == ["leaving", "angry", "offer"]


def without_start():
    return [(topic, record) for stream in streams() for topic, record in stream if not isinstance(record, CallEvent)]


def test_results_wait_for_the_start_of_their_call():
    """A worker that catches up gets the topics in any order, and a result must not lack its queue."""
    with TopologyTestDriver(results.stage, start_ms=START_MS) as driver:
        for topic, record in without_start():
            driver.topic(topic).send(record)
        driver.advance(ROUTING_MS + 1_000)
        assert driver.topic(topics.results).read_all() == []
        [(topic, started)] = streams()[0]
        driver.topic(topic).send(started)
        driver.advance(ROUTING_MS + 1_000)
        out = driver.topic(topics.results).read_all()
    check(out)
    assert {(r.queue, r.agent) for r in out} == {("sales", "ann")}


@pytest.mark.parametrize("over", [False, True])
def test_a_call_whose_start_is_lost_goes_on_without(over):
    with TopologyTestDriver(results.stage, start_ms=START_MS) as driver:
        for topic, record in without_start():
            if over or record != ends("voice"):
                driver.topic(topic).send(record)
        driver.advance(10_000)
        out = driver.topic(topics.results).read_all()
        assert len(out) == 4 + over
        if not over:
            driver.advance(GIVE_UP_MS, step_ms=10_000)
            out += driver.topic(topics.results).read_all()
    assert isinstance(out[-1], CallSummary)
    assert {r.queue for r in out} == {None}


def test_a_transcript_that_comes_twice_counts_once_in_the_mood_of_the_call():
    said = [
        transcript(utterance_id=f"c/agent/{n}", number=n, at_ms=n * 10_000, text=text)
        for n, text in enumerate(["This is terrible.", "Thank you so much, that is wonderful!", "Good."])
    ]

    once = moods(topics.transcripts, *said, ends("stt"))
    assert len(once) == 3
    assert moods(topics.transcripts, *said[:2], *said[:2], said[2], ends("stt")) == once
    assert moods(topics.transcripts, *said, ends("stt"), *said[1:], ends("stt")) == once


def test_a_segment_that_comes_twice_counts_once_in_what_is_usual_for_its_speaker():
    said = [
        SpeechSegment(
            utterance_id=f"c/agent/{n}", call_id="c", track="agent", number=n, start_ms=0, end_ms=1_000,
            voice_start_ms=0, voice_end_ms=1_000, speech_ms=1_000, at_ms=n * 10_000, closed_by="pause",
            sample_rate=16_000, audio=saw(hertz),
        )
        for n, hertz in enumerate([100, 120, 200])
    ]  # fmt: skip
    once = moods(topics.segments, *said, ends("chunking"))
    assert len({mood.arousal for mood in once}) == 3
    assert moods(topics.segments, *said[:2], *said[:2], said[2], ends("chunking")) == once
    assert moods(topics.segments, *said, ends("chunking"), *said[1:], ends("chunking")) == once


def saw(hertz):
    return (np.arange(16_000) * hertz / 16_000 % 1 * 8_000).astype("<i2").tobytes()


def moods(topic, *records):
    with TopologyTestDriver(sentiment.stage) as driver:
        driver.topic(topic).send(*records)
        out = driver.topic(topics.sentiment).read_all()
        assert isinstance(out[-1], EndOfCall)
        driver.advance(7_200_000, step_ms=60_000)
        assert [len(store) for store in sentiment.stage.stores.values()] == [0, 0]
    return [msgspec.structs.replace(mood, inference_ms=0) for mood in out if isinstance(mood, Sentiment)]
