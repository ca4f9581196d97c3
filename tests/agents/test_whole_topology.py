"""A scripted call through every stage but the sink, with the real models and no broker."""

from pathlib import Path

import pytest
import yaml

from agents import analytics, chunking, insights, results, routing, sentiment, stt
from voicestream import topics
from voicestream.audio.files import read_audio
from voicestream.records import (
    AudioChunk,
    CallEvent,
    CallMetric,
    CallSummary,
    EndOfCall,
    RoutingDecision,
    UtteranceResult,
)
from voicestream.settings import settings
from voicestream.stt.wer import word_error_rate
from voicestream.testing import TopologyTestDriver

CALLS = Path(__file__).parents[2] / "examples" / "calls"
SCRIPT = CALLS / "02-third-outage.yaml"
START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def outcome():
    """What the topics hold after the call, which is played once."""
    script = yaml.safe_load(SCRIPT.read_text())
    audio = read_audio(CALLS / "audio" / f"{SCRIPT.stem}.wav")
    stages = [m.stage for m in (chunking, stt, sentiment, insights, routing, analytics, results)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICESTREAM_CATALOGUE", str(CALLS.parent / "catalogue.yaml"))
        settings.cache_clear()
        with TopologyTestDriver(*stages, start_ms=START_MS) as driver:
            play(driver, script["call_id"], audio)
            driver.advance(5_000)
            yield script, {topic.name: driver.topic(topic).read_all() for topic in topics.ALL}
    settings.cache_clear()


def play(driver: TopologyTestDriver, call_id: str, audio) -> None:
    driver.topic(topics.calls).send(
        CallEvent(event_id=f"{call_id}/started/0", call_id=call_id, kind="started", sequence=0, at_ms=START_MS,
                  protocol="raw", tracks=["agent", "customer"], queue="support", agent="robert", customer="Linda")
    )  # fmt: skip
    size = audio.sample_rate // 10
    for n in range(len(audio.channels) // size):
        for column, track in enumerate(("agent", "customer")):
            driver.topic(topics.audio).send(
                AudioChunk(
                    call_id=call_id,
                    track=track,
                    sequence=n,
                    start_ms=n * 100,
                    duration_ms=100,
                    at_ms=START_MS + (n + 1) * 100,
                    codec="pcm16",
                    sample_rate=audio.sample_rate,
                    audio=audio.channels[n * size : (n + 1) * size, column].tobytes(),
                )
            )
        driver.advance(100)
    driver.topic(topics.audio).send(
        EndOfCall(call_id=call_id, stage="gateway", at_ms=driver.now_ms, duration_ms=audio.duration_ms,
                  reason="completed")
    )  # fmt: skip


def test_the_words_are_those_of_the_script(outcome):
    script, out = outcome
    for track in ("agent", "customer"):
        said = [r for r in out["voice.results"] if isinstance(r, UtteranceResult) and r.track == track]
        heard = " ".join(r.text for r in sorted(said, key=lambda r: r.number))
        expected = " ".join(turn["text"] for turn in script["turns"] if turn["track"] == track)
        assert word_error_rate([(expected, heard)]) <= 0.2


def test_every_result_is_complete_and_there_are_no_dead_letters(outcome):
    _, out = outcome
    said = [r for r in out["voice.results"] if isinstance(r, UtteranceResult)]
    assert len(said) == len({r.utterance_id for r in said}) >= 10
    assert all(r.complete and r.polarity is not None and r.arousal is not None for r in said)
    assert out["voice.dlq"] == []


def test_the_anger_is_heard_and_routed_while_the_call_goes_on(outcome):
    _, out = outcome
    [summary] = [r for r in out["voice.results"] if isinstance(r, CallSummary)]
    assert summary.polarity["customer"] < -0.3
    assert summary.insights["churn_risk"] >= 1
    decisions = [r for r in out["voice.routing"] if isinstance(r, RoutingDecision)]
    assert {"retention_offer", "escalate_supervisor"} & {d.action for d in decisions}
    assert decisions[0].at_ms < summary.ended_at_ms
    assert summary.routing == [d.rule for d in decisions]


def test_the_figures_are_live_and_end_as_the_summary_says(outcome):
    _, out = outcome
    [summary] = [r for r in out["voice.results"] if isinstance(r, CallSummary)]
    metrics = [m for m in out["voice.metrics"] if isinstance(m, CallMetric)]
    assert len(metrics) == sum(summary.utterances.values()) + 1
    assert (metrics[-1].final, metrics[-1].talk_ms) == (True, summary.talk_ms)
    assert 0.3 < summary.talk_ratio["agent"] < 0.7
