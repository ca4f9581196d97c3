"""Business signals and what is decided on them."""

from typing import Self

from voicestream.records.base import CallRecord
from voicestream.records.speech import Transcript
from voicestream.records.track import Track


class Insight(CallRecord, frozen=True, kw_only=True):
    """A business signal, with the evidence for it."""

    insight_id: str
    utterance_id: str
    track: Track
    number: int
    at_ms: int
    kind: str
    label: str = ""
    value: str | None = None
    text: str
    start: int
    end: int
    confidence: float
    extractor: str

    @classmethod
    def of(
        cls,
        transcript: Transcript,
        *,
        kind: str,
        label: str = "",
        value: str | None = None,
        span: tuple[int, int] | None = None,
        confidence: float = 1.0,
        extractor: str | None = None,
    ) -> Self:
        """An insight of ``transcript`` with the characters ``span`` (default: all of it) as its evidence."""
        start, end = span if span is not None else (0, len(transcript.text))
        return cls(
            insight_id=f"{transcript.utterance_id}/{kind}/{label}/{start}",
            utterance_id=transcript.utterance_id,
            call_id=transcript.call_id,
            track=transcript.track,
            number=transcript.number,
            at_ms=transcript.at_ms,
            kind=kind,
            label=label,
            value=value,
            text=transcript.text[start:end],
            start=start,
            end=end,
            confidence=confidence,
            extractor=extractor or kind,
        )


class RoutingDecision(CallRecord, frozen=True, kw_only=True):
    """What a routing rule decided for a call."""

    decision_id: str
    at_ms: int
    rule: str
    action: str
    target: str | None = None
    priority: int
    reason: str
    evidence: list[str] = []
    queue: str | None = None
    agent: str | None = None
