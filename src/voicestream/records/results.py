"""One result an utterance, one summary a call."""

import msgspec

from voicestream.records.base import CallRecord
from voicestream.records.metrics import CallFigures
from voicestream.records.track import Track


class InsightRef(msgspec.Struct, frozen=True, kw_only=True):
    """An insight of an utterance, as its result carries it."""

    insight_id: str
    kind: str
    label: str
    value: str | None = None
    text: str
    confidence: float


class UtteranceResult(CallRecord, frozen=True, kw_only=True):
    """Everything known of one utterance: transcript, sentiment and insights joined."""

    utterance_id: str
    track: Track
    number: int
    start_ms: int
    end_ms: int
    at_ms: int
    queue: str | None = None
    agent: str | None = None
    text: str
    words: int = 0
    confidence: float
    language: str
    polarity: float | None = None
    label: str | None = None
    emotion: str | None = None
    emotions: dict[str, float] = {}
    trend: float | None = None
    arousal: float | None = None
    pitch_hz: float | None = None
    energy_dbfs: float | None = None
    speech_rate: float | None = None
    insights: list[InsightRef] = []
    stt_ms: float = 0.0
    sentiment_ms: float = 0.0
    latency_ms: int = 0
    complete: bool = True


class CallSummary(CallFigures, frozen=True, kw_only=True):
    """One call when it is complete."""

    started_at_ms: int
    ended_at_ms: int
    reason: str
    protocol: str = ""
    queue: str | None = None
    agent: str | None = None
    customer: str | None = None
    metadata: dict[str, str] = {}
    emotions: dict[str, str] = {}
    routing: list[str] = []
    outcome: str | None = None
    text: str
    complete: bool = True
