"""Records of one call, for the tests of the rules. Times are seconds from its start."""

from typing import Any

from voicestream.records import CallEvent, CallMetric, Insight, RoutingDecision, Sentiment
from voicestream.routing import RoutingRecord, RoutingState, Rule, evaluate
from voicestream.routing.rules import read_rules
from voicestream.yaml_file import YamlFile

START_MS = 1_795_600_000_000
CALL = "call-1"


def at(seconds: float) -> int:
    return START_MS + round(seconds * 1000)


def started(seconds: float = 0, **fields: Any) -> CallEvent:
    return CallEvent(
        event_id=f"{CALL}/started/0",
        call_id=CALL,
        kind="started",
        sequence=0,
        at_ms=at(seconds),
        protocol="raw",
        **fields,
    )


def pressed(digit: str, seconds: float, sequence: int = 1) -> CallEvent:
    event_id = f"{CALL}/dtmf/{sequence}"
    return CallEvent(
        event_id=event_id, call_id=CALL, kind="dtmf", sequence=sequence, at_ms=at(seconds), protocol="raw", value=digit
    )


def mood(number: int, seconds: float, polarity: float = 0.0, track: str = "customer", **fields: Any) -> Sentiment:
    return Sentiment(
        utterance_id=f"{CALL}/{track}/{number}",
        call_id=CALL,
        track=track,  # type: ignore[arg-type]
        number=number,
        at_ms=at(seconds),
        source=fields.pop("source", "text"),
        polarity=polarity,
        model="test",
        inference_ms=1.0,
        **fields,
    )


def insight(kind: str, seconds: float, label: str = "", track: str = "customer", confidence: float = 0.9) -> Insight:
    utterance = f"{CALL}/{track}/{round(seconds)}"
    return Insight(
        insight_id=f"{utterance}/{kind}/{label}/0",
        utterance_id=utterance,
        call_id=CALL,
        track=track,  # type: ignore[arg-type]
        number=round(seconds),
        at_ms=at(seconds),
        kind=kind,
        label=label,
        text="words",
        start=0,
        end=5,
        confidence=confidence,
        extractor="test",
    )


def metric(revision: int, seconds: float, **fields: Any) -> CallMetric:
    return CallMetric(
        call_id=CALL, at_ms=at(seconds), duration_ms=round(seconds * 1000), revision=revision, final=False, **fields
    )


def rules(text: str) -> tuple[Rule, ...]:
    return read_rules(YamlFile(text, "rules.yaml"))


def rule(when: str, more: str = "") -> tuple[Rule, ...]:
    """One rule with the condition ``when``, in flow style."""
    return rules(
        f"rules:\n  - name: it\n    when: {when}\n    then: {{action: act, target: team, priority: 2}}\n    {more}\n"
    )


def play(wanted: tuple[Rule, ...], *records: RoutingRecord) -> list[RoutingDecision]:
    state, decisions = RoutingState(), []
    for record in records:
        state, made = evaluate(wanted, state, record)
        decisions += made
    return decisions
