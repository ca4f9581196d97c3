"""Example records of one call, as the stages write them."""

from voicestream.records import (
    CallMetric,
    CallSummary,
    Insight,
    InsightRef,
    RoutingDecision,
    Sentiment,
    Track,
    Transcript,
    UtteranceResult,
    WindowMetric,
)


def transcript(call_id: str, number: int, text: str, track: Track = "customer", final: bool = True) -> Transcript:
    return Transcript(
        utterance_id=f"{call_id}/{track}/{number}",
        call_id=call_id,
        track=track,
        number=number,
        start_ms=number * 2000,
        end_ms=number * 2000 + 1500,
        at_ms=1_000 + number,
        text=text,
        confidence=0.9,
        language="en",
        final=final,
        engine="test",
        inference_ms=80.0,
    )


def sentiment(said: Transcript, polarity: float, emotion: str = "neutral", trend: float = 0.0) -> Sentiment:
    return Sentiment(
        utterance_id=said.utterance_id,
        call_id=said.call_id,
        track=said.track,
        number=said.number,
        at_ms=said.at_ms,
        source="text",
        polarity=polarity,
        label="positive" if polarity > 0 else "negative",
        emotion=emotion,
        call_polarity=polarity,
        trend=trend,
        model="test",
        inference_ms=9.0,
    )


def insight(said: Transcript, kind: str, label: str = "") -> Insight:
    return Insight.of(said, kind=kind, label=label, span=(0, 4))


def result(said: Transcript, felt: Sentiment, *found: Insight, latency_ms: int = 700) -> UtteranceResult:
    return UtteranceResult(
        utterance_id=said.utterance_id,
        call_id=said.call_id,
        track=said.track,
        number=said.number,
        start_ms=said.start_ms,
        end_ms=said.end_ms,
        at_ms=said.at_ms,
        text=said.text,
        words=len(said.text.split()),
        confidence=said.confidence,
        language=said.language,
        polarity=felt.polarity,
        label=felt.label,
        emotion=felt.emotion,
        insights=[
            InsightRef(insight_id=i.insight_id, kind=i.kind, label=i.label, text=i.text, confidence=i.confidence)
            for i in found
        ],
        stt_ms=80.0,
        sentiment_ms=9.0,
        latency_ms=latency_ms,
    )


def routing(call_id: str, rule: str = "unhappy-customer") -> RoutingDecision:
    return RoutingDecision(
        decision_id=f"{call_id}/{rule}/0",
        call_id=call_id,
        at_ms=3_000,
        rule=rule,
        action="alert",
        target="supervisor",
        priority=1,
        reason="the customer's mood fell below -0.5",
    )


def call_metric(call_id: str, revision: int, agent_ratio: float) -> CallMetric:
    return CallMetric(
        call_id=call_id,
        at_ms=3_000,
        duration_ms=10_000,
        talk_ratio={"agent": agent_ratio, "customer": 1 - agent_ratio},
        talk_ms={"agent": 4_000, "customer": 4_000},
        revision=revision,
        final=False,
    )


def window_metric() -> WindowMetric:
    return WindowMetric(
        metric_id="w",
        queue="sales",
        agent="Dana",
        window_start_ms=0,
        window_end_ms=60_000,
        calls=1,
        utterances=2,
        revision=0,
        final=True,
    )


def summary(call_id: str, text: str = "The customer will buy.") -> CallSummary:
    return CallSummary(
        call_id=call_id,
        started_at_ms=1_000,
        ended_at_ms=61_000,
        duration_ms=60_000,
        reason="completed",
        agent="Dana",
        customer="Mr Poe",
        outcome="won",
        text=text,
    )
