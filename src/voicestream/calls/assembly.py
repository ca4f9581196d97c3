"""Joins what the stages say of each utterance into one result, and the results of a call into its summary.

Every stage keeps the order of a track and says in band when it has ended, so ``streams.joins.complete`` can tell when
an utterance is complete. One that was killed says again what it had not committed; that is passed over.
"""

from collections import Counter

import msgspec

from voicestream.calls.figures import Spoken, figures
from voicestream.calls.story import outcome_of, tell
from voicestream.records import (
    CallEvent,
    CallSummary,
    EndOfCall,
    EndOfUtterance,
    Insight,
    InsightRef,
    RoutingDecision,
    Sentiment,
    Transcript,
    UtteranceResult,
)
from voicestream.streams.joins.complete import CompleteJoin, Waiting
from voicestream.streams.record import Record

STAGES = ("stt", "sentiment", "voice", "insights")
"""The parts of an utterance, by the stage name that ends them in band."""

_join = CompleteJoin(STAGES)

ROUTING_MS = 1_500  # of wall clock that the last routing decisions of a call may take
START_MS = 5_000  # of wall clock that the start of a call may come behind what is said in it, when we catch up
GIVE_UP_MS = 600_000  # of wall clock after the first stage passed the end of a call on
FORGET_MS = 900_000  # behind the summary
ABANDON_MS = 86_400_000  # without an end: of a call whose gateway died before it had any audio


class Parts(msgspec.Struct):
    """What has come of one utterance."""

    transcript: Transcript | None = None
    text: Sentiment | None = None
    voice: Sentiment | None = None
    insights: list[InsightRef] = []
    insights_done: bool = False


class CallState(msgspec.Struct):
    """What is known of a call; ``closed_at_ms`` is set, and the rest is gone, when its summary is out."""

    started: CallEvent | None = None
    utterances: Waiting[Parts] = msgspec.field(default_factory=Waiting[Parts])
    spoken: list[Spoken] = []
    routing: dict[str, tuple[int, str]] = {}
    heard_ms: int | None = None
    ends: dict[str, EndOfCall] = {}
    first_end_ms: int | None = None
    last_end_ms: int | None = None
    closed_at_ms: int | None = None


def take(state: CallState, record: Record, now_ms: int) -> list[UtteranceResult]:
    """Add a record to its call; the results that it completes, in order of each track. Changes ``state``."""
    state.heard_ms = state.heard_ms or now_ms
    match record:
        case CallEvent(kind="started"):
            state.started = record
        case Transcript(final=True):
            if parts := _parts(state, record):
                parts.transcript = record
                _reach(state, "stt", record)
        case Sentiment(source="text"):
            if parts := _parts(state, record):
                parts.text = record
                _reach(state, "sentiment", record)
        case Sentiment(source="voice"):
            if parts := _parts(state, record):
                parts.voice = record
                _reach(state, "voice", record)
        case Insight():
            parts = _parts(state, record)
            if parts and all(known.insight_id != record.insight_id for known in parts.insights):
                parts.insights.append(_reference(record))
        case EndOfUtterance(stage="insights"):
            if parts := _parts(state, record):
                parts.insights_done = True
                _reach(state, "insights", record)
        case RoutingDecision():
            state.routing[record.decision_id] = record.at_ms, record.rule
        case EndOfCall():
            state.ends[record.stage] = record
            if record.stage in STAGES:
                _join.end(state.utterances, record.stage)
            state.first_end_ms = state.first_end_ms or now_ms
            if all(stage in state.ends for stage in STAGES):
                state.last_end_ms = now_ms
    return _complete(state, now_ms)


def close(state: CallState, call_id: str, now_ms: int) -> list[Record]:
    """The summary of a call that is over, behind the results that time completes; no summary while it goes on."""
    if state.closed_at_ms is not None or _may_start_late(state, now_ms):
        return []
    over = state.last_end_ms is not None and now_ms - state.last_end_ms >= ROUTING_MS
    given_up = state.first_end_ms is not None and now_ms - state.first_end_ms >= GIVE_UP_MS
    if not (over or given_up):
        return list(_complete(state, now_ms)) if state.started is None else []
    missing = [stage for stage in STAGES if stage not in state.ends]
    for stage in missing:
        state.ends[stage] = next(iter(state.ends.values()))
    results = _results(state, _join.give_up(state.utterances), now_ms)
    return [*results, _summary(state, call_id, complete=not missing)]


def _parts(state: CallState, record: Transcript | Sentiment | Insight | EndOfUtterance) -> Parts | None:
    """What has come of the utterance of a record; ``None`` when its result is out."""
    return _join.parts(state.utterances, record.track, record.number, Parts)


def _reach(state: CallState, stage: str, record: Transcript | Sentiment | EndOfUtterance) -> None:
    _join.reach(state.utterances, stage, record.track, record.number)


def _may_start_late(state: CallState, now_ms: int) -> bool:
    return state.started is None and state.heard_ms is not None and now_ms - state.heard_ms < START_MS


def _complete(state: CallState, now_ms: int) -> list[UtteranceResult]:
    if _may_start_late(state, now_ms):
        return []
    return _results(state, _join.complete(state.utterances), now_ms)


def _results(state: CallState, utterances: list[Parts], now_ms: int) -> list[UtteranceResult]:
    results = []
    for parts in utterances:
        if parts.transcript is not None:  # else it was noise: nothing was said
            result = _result(state, parts.transcript, parts, now_ms)
            state.spoken.append(Spoken.of(result))
            results.append(result)
    return results


def _result(state: CallState, said: Transcript, parts: Parts, now_ms: int) -> UtteranceResult:
    text, voice = parts.text, parts.voice
    return UtteranceResult(
        utterance_id=said.utterance_id,
        call_id=said.call_id,
        track=said.track,
        number=said.number,
        start_ms=said.start_ms,
        end_ms=said.end_ms,
        at_ms=said.at_ms,
        queue=state.started.queue if state.started else None,
        agent=state.started.agent if state.started else None,
        text=said.text,
        words=len(said.words) or len(said.text.split()),
        confidence=said.confidence,
        language=said.language,
        polarity=text.polarity if text else None,
        label=text.label if text else None,
        emotion=text.emotion if text else None,
        emotions=text.emotions if text else {},
        trend=text.trend if text else None,
        arousal=voice.arousal if voice else None,
        pitch_hz=voice.pitch_hz if voice else None,
        energy_dbfs=voice.energy_dbfs if voice else None,
        speech_rate=voice.speech_rate if voice else None,
        insights=parts.insights,
        stt_ms=said.inference_ms,
        sentiment_ms=text.inference_ms if text else 0.0,
        latency_ms=max(0, now_ms - said.at_ms),
        complete=text is not None and voice is not None and parts.insights_done,
    )


def _summary(state: CallState, call_id: str, complete: bool) -> CallSummary:
    end = state.ends["stt"]
    started = state.started
    measured = figures(call_id, state.spoken, end.duration_ms)
    emotions = {track: _prevailing([s for s in state.spoken if s.track == track]) for track in measured.utterances}
    summary = CallSummary(
        started_at_ms=started.at_ms if started else end.at_ms - end.duration_ms,
        ended_at_ms=end.at_ms,
        reason=end.reason,
        protocol=started.protocol if started else "",
        queue=started.queue if started else None,
        agent=started.agent if started else None,
        customer=started.customer if started else None,
        metadata=started.metadata if started else {},
        emotions=emotions,
        routing=[rule for _, rule in sorted(state.routing.values())],
        outcome=outcome_of(measured),
        text="",
        complete=complete,
        **msgspec.structs.asdict(measured),
    )
    return msgspec.structs.replace(summary, text=tell(summary))


def _prevailing(said: list[Spoken]) -> str:
    """The most frequent emotion other than neutral; neutral where there is no other in a fifth of the utterances."""
    counts = Counter(s.emotion for s in said if s.emotion not in (None, "neutral"))
    emotion, count = counts.most_common(1)[0] if counts else ("neutral", 0)
    return str(emotion) if count * 5 >= len(said) else "neutral"


def _reference(insight: Insight) -> InsightRef:
    return InsightRef(
        insight_id=insight.insight_id,
        kind=insight.kind,
        label=insight.label,
        value=insight.value,
        text=insight.text,
        confidence=insight.confidence,
    )
