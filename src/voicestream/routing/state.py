"""What routing remembers of a call: small, bounded, and moved by event time alone."""

import msgspec
from msgspec.structs import replace

from voicestream.records import CallEvent, CallMetric, Insight, Sentiment

RoutingRecord = CallEvent | Sentiment | Insight | CallMetric
"""The records that rules look at."""

KEPT = 20
"""Utterances of a track, and insights of one kind and label, that are remembered; no rule can ask for more."""
_KINDS_KEPT = 256


class Mood(msgspec.Struct, frozen=True, kw_only=True):
    """Sentiment of one utterance."""

    utterance_id: str
    at_ms: int
    polarity: float | None = None
    call_polarity: float | None = None
    trend: float | None = None
    emotion: str | None = None
    emotions: dict[str, float] = {}


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One insight."""

    insight_id: str
    at_ms: int
    track: str
    kind: str
    label: str
    confidence: float


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rule has fired, when last, and on what."""

    count: int
    at_ms: int
    evidence: tuple[str, ...] = ()


class RoutingState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one call; `evaluate` makes the next one from it.

    ``at_ms`` is the highest event time seen, ``silent_ms`` the silence since anybody was last heard. ``moods`` is by
    track, oldest first; ``signals`` by ``kind/label``: the first one and the latest.
    """

    call_id: str = ""
    started_at_ms: int | None = None
    at_ms: int = 0
    queue: str | None = None
    agent: str | None = None
    customer: str | None = None
    metadata: dict[str, str] = {}
    moods: dict[str, tuple[Mood, ...]] = {}
    signals: dict[str, tuple[Signal, ...]] = {}
    metric_revision: int = -1
    silence_ms: int = 0
    silent_ms: int = 0
    talk_ms: int = 0
    interruptions: dict[str, int] = {}
    fired: dict[str, Fired] = {}

    @property
    def duration_ms(self) -> int:
        """Length of the call so far; 0 while its start is unknown."""
        return 0 if self.started_at_ms is None else max(0, self.at_ms - self.started_at_ms)


def advance(state: RoutingState, record: RoutingRecord) -> RoutingState:
    """``state`` with ``record`` in it; a record that is there already changes nothing."""
    state = replace(state, call_id=record.call_id, at_ms=max(state.at_ms, record.at_ms))
    match record:
        case CallEvent():
            return _with_event(state, record)
        case Sentiment():
            return _with_mood(state, record)
        case Insight():
            return _with_signal(state, record)
        case CallMetric():
            return _with_metric(state, record)


def _with_event(state: RoutingState, event: CallEvent) -> RoutingState:
    return replace(
        state,
        started_at_ms=event.at_ms if event.kind == "started" else state.started_at_ms,
        queue=event.queue or state.queue,
        agent=event.agent or state.agent,
        customer=event.customer or state.customer,
        metadata=event.metadata or state.metadata,
    )


def _with_mood(state: RoutingState, sentiment: Sentiment) -> RoutingState:
    if sentiment.source != "text":
        return state
    mood = Mood(
        utterance_id=sentiment.utterance_id,
        at_ms=sentiment.at_ms,
        polarity=sentiment.polarity,
        call_polarity=sentiment.call_polarity,
        trend=sentiment.trend,
        emotion=sentiment.emotion,
        emotions=sentiment.emotions,
    )
    others = [known for known in state.moods.get(sentiment.track, ()) if known.utterance_id != mood.utterance_id]
    ordered = sorted([*others, mood], key=lambda known: (known.at_ms, known.utterance_id))
    return replace(state, moods={**state.moods, sentiment.track: tuple(ordered[-KEPT:])})


def _with_signal(state: RoutingState, insight: Insight) -> RoutingState:
    key = f"{insight.kind}/{insight.label}"
    known = state.signals.get(key, ())
    if any(signal.insight_id == insight.insight_id for signal in known):
        return state
    signal = Signal(
        insight_id=insight.insight_id,
        at_ms=insight.at_ms,
        track=insight.track,
        kind=insight.kind,
        label=insight.label,
        confidence=insight.confidence,
    )
    ordered = sorted([*known, signal], key=lambda one: (one.at_ms, one.insight_id))
    if len(ordered) > KEPT:
        # The first one stays: a disclosure at the start of a long call must not be forgotten.
        del ordered[1]
    # The one that changed last is last, so that the one left alone for longest goes first.
    signals = {one: two for one, two in state.signals.items() if one != key} | {key: tuple(ordered)}
    if len(signals) > _KINDS_KEPT:
        del signals[next(iter(signals))]
    return replace(state, signals=signals)


def _with_metric(state: RoutingState, metric: CallMetric) -> RoutingState:
    if metric.revision <= state.metric_revision:
        return state
    talk_ms = sum(metric.talk_ms.values())
    growth = max(0, metric.silence_ms - state.silence_ms)
    started = metric.at_ms - metric.duration_ms if state.started_at_ms is None else state.started_at_ms
    return replace(
        state,
        started_at_ms=started,
        queue=state.queue or metric.queue,
        agent=state.agent or metric.agent,
        metric_revision=metric.revision,
        silence_ms=metric.silence_ms,
        # Silence that comes with new speech was before that speech; it is over, but it was as long as that.
        silent_ms=growth if talk_ms > state.talk_ms else state.silent_ms + growth,
        talk_ms=talk_ms,
        interruptions=dict(metric.interruptions),
    )
