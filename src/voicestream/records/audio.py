"""Audio on its way: chunks of a track and the segments of speech cut from them."""

from voicestream.records.base import CallRecord
from voicestream.records.track import Track


class AudioChunk(CallRecord, frozen=True, kw_only=True):
    """About 100 ms of one track as the caller sent it."""

    track: Track
    sequence: int
    start_ms: int
    duration_ms: int
    gap_ms: int = 0
    at_ms: int
    codec: str
    sample_rate: int
    audio: bytes


class SpeechSegment(CallRecord, frozen=True, kw_only=True):
    """A stretch of speech of one track, cut by voice activity."""

    utterance_id: str
    track: Track
    number: int
    start_ms: int
    end_ms: int
    voice_start_ms: int
    voice_end_ms: int
    speech_ms: int
    at_ms: int
    closed_by: str
    sample_rate: int
    audio: bytes


class SpeechPiece(CallRecord, frozen=True, kw_only=True):
    """What is new of a segment that is still open: for the words so far, while somebody speaks."""

    utterance_id: str
    track: Track
    number: int
    segment_start_ms: int
    voice_start_ms: int
    start_ms: int
    end_ms: int
    at_ms: int
    sample_rate: int
    audio: bytes
