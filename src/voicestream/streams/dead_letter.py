"""What the dead-letter topic carries: messages that a stage could not handle, and which of them were put back."""

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


class LetterReplay(Record, frozen=True, kw_only=True):
    """That the message of a letter is being put back on its topic; with ``offset`` and ``partition``: that it is."""

    letter_id: str
    at_ms: int
    offset: int | None = None
    partition: int | None = None

    @property
    def key(self) -> str:
        return self.letter_id
