"""What happens to a call beside its audio, and the markers that travel in band."""

from voicestream.records.base import CallRecord
from voicestream.records.track import Track


class CallEvent(CallRecord, frozen=True, kw_only=True):
    """Something that happened to a call beside its audio."""

    event_id: str
    kind: str
    sequence: int
    at_ms: int
    protocol: str
    tracks: list[str] = []
    codec: str = ""
    sample_rate: int = 0
    queue: str | None = None
    agent: str | None = None
    customer: str | None = None
    metadata: dict[str, str] = {}
    value: str | None = None
    track: Track | None = None
    reason: str | None = None


class EndOfCall(CallRecord, frozen=True, kw_only=True):
    """In-band marker: behind it, the stage that wrote it sends nothing more for this call on this topic."""

    stage: str
    at_ms: int
    duration_ms: int
    reason: str


class EndOfUtterance(CallRecord, frozen=True, kw_only=True):
    """In-band marker: behind it, the stage that wrote it sends nothing more for this utterance on this topic."""

    utterance_id: str
    track: Track
    number: int
    stage: str
    at_ms: int
