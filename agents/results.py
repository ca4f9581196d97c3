"""Joins transcript, sentiment and insights: one result an utterance, one summary a call."""

from voicestream import Stage, State, topics
from voicestream.calls.assembly import ABANDON_MS, FORGET_MS, CallState, close, take
from voicestream.records import (
    CallEvent,
    CallSummary,
    EndOfCall,
    EndOfUtterance,
    Insight,
    RoutingDecision,
    Sentiment,
    Transcript,
    UtteranceResult,
)
from voicestream.streams.clock import now_ms
from voicestream.streams.record import Record

stage = Stage("results")
calls = stage.store("calls", CallState)

Part = CallEvent | Transcript | Sentiment | Insight | EndOfUtterance | RoutingDecision | EndOfCall


@stage.agent(
    topics.calls,
    topics.transcripts,
    topics.sentiment,
    topics.insights,
    topics.routing,
    out=topics.results,
    state=calls,
)
async def join(part: Part, call: State[CallState]) -> list[UtteranceResult]:
    """Add a part to its call; the utterances that it completes."""
    call.value = call.value or CallState()
    if call.value.closed_at_ms is not None:
        return []
    return take(call.value, part, now_ms())


@stage.every(500, store=calls, out=topics.results)
async def finish(now: int, call: State[CallState]) -> list[Record]:
    """Close the calls that are over, and forget the ones that have been closed for long."""
    assert call.value is not None
    if call.value.closed_at_ms is not None:
        if now - call.value.closed_at_ms > FORGET_MS:
            call.value = None
        return []
    if call.value.first_end_ms is None and call.value.heard_ms is not None and now - call.value.heard_ms > ABANDON_MS:
        call.value = None
        return []
    out = close(call.value, call.key, now)
    if out and isinstance(out[-1], CallSummary):
        call.value = CallState(closed_at_ms=now)
    return out


app = stage.app()
