"""What was said, and how."""

import msgspec

from voicestream.records.base import CallRecord
from voicestream.records.track import Track


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word with its time (milliseconds from the start of the call) and confidence in [0, 1]."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float


class Transcript(CallRecord, frozen=True, kw_only=True):
    """What was said in one segment."""

    utterance_id: str
    track: Track
    number: int
    start_ms: int
    end_ms: int
    at_ms: int
    text: str
    words: list[Word] = []
    confidence: float
    language: str
    final: bool = True
    engine: str
    inference_ms: float


class Sentiment(CallRecord, frozen=True, kw_only=True):
    """Sentiment and emotion of the text of an utterance, or the tone of its voice."""

    utterance_id: str
    track: Track
    number: int
    at_ms: int
    source: str
    polarity: float | None = None
    label: str | None = None
    confidence: float | None = None
    emotion: str | None = None
    emotions: dict[str, float] = {}
    call_polarity: float | None = None
    trend: float | None = None
    arousal: float | None = None
    pitch_hz: float | None = None
    pitch_range: float | None = None
    energy_dbfs: float | None = None
    speech_rate: float | None = None
    model: str
    inference_ms: float
