"""The record of a message that a stage could not handle."""

from voicestream.streams.record import Record


class DeadLetter(Record, frozen=True, kw_only=True):
    """A message that a stage could not handle, with where it came from and why."""

    letter_id: str
    topic: str
    partition: int
    offset: int
    source_key: bytes | None = None
    source_value: bytes | None = None
    headers: dict[str, bytes] = {}
    timestamp_ms: int
    stage: str
    agent: str
    step: str
    error: str
    message: str
    trace: str = ""
    at_ms: int

    @property
    def key(self) -> str:
        return self.letter_id
