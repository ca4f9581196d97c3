"""One side of a call: frames in order, gathered into chunks, acknowledged when the broker has them."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from voicestream.gateway.protocol import BYTES_PER_SAMPLE, Refusal
from voicestream.records import AudioChunk, Track

CHUNK_MS = 100
MAX_GAP_MS = 120_000
# The clock of a caller that stamps its frames may run this far ahead of the samples before that counts as lost audio.
DRIFT_MS = 100


@dataclass
class Pending:
    """A chunk that the broker does not have yet."""

    chunk: AudioChunk
    last_sequence: int
    first_frame_at: float
    last_frame_at: float
    delivered: bool = False


@dataclass
class TrackStream:
    """Where one track stands; ``emit`` gets each chunk as it is complete.

    Positions are counted in samples from the start of the call, lost audio included.
    """

    call_id: str
    name: Track
    codec: str
    sample_rate: int
    emit: Callable[[Pending], None]
    next_sequence: int = 0
    acknowledged: int = -1
    samples: int = 0
    frames: int = 0
    duplicates: int = 0
    gap_ms: int = 0
    chunks: int = 0
    pending: deque[Pending] = field(default_factory=deque)
    _buffer: bytearray = field(default_factory=bytearray)
    _gap_samples: int = 0
    _first_frame_at: float = 0.0
    _last_frame_at: float = 0.0

    def __post_init__(self) -> None:
        self._width = BYTES_PER_SAMPLE[self.codec]
        self._chunk_bytes = self.sample_rate * self._width * CHUNK_MS // 1000

    @property
    def position_ms(self) -> int:
        """Milliseconds from the start of the call to the end of what has come."""
        return self.samples * 1000 // self.sample_rate

    def add(self, sequence: int, audio: bytes, now: float, expected_ms: int | None = None) -> bool:
        """Take a frame that came at ``now`` (monotonic seconds); False where it has come before.

        ``expected_ms`` is where the caller says that the frame begins. Raises ``Refusal`` (``bad_frame``,
        ``sequence_gap``).
        """
        if sequence < self.next_sequence:
            self.duplicates += 1
            return False
        samples, rest = divmod(len(audio), self._width)
        if rest or not samples:
            raise Refusal("bad_frame", f"{len(audio)} bytes are no whole number of {self.codec} samples, or none")
        lost = self._lost(sequence, samples, expected_ms)
        if lost:
            self.flush()
            self._gap_samples += lost
            self.samples += lost
            self.gap_ms += lost * 1000 // self.sample_rate
        if not self._buffer:
            self._first_frame_at = now
        self._last_frame_at = now
        self._buffer += audio
        self.samples += samples
        self.frames += 1
        self.next_sequence = sequence + 1
        if len(self._buffer) >= self._chunk_bytes:
            self.flush()
        return True

    def _lost(self, sequence: int, samples: int, expected_ms: int | None) -> int:
        lost = (sequence - self.next_sequence) * samples
        if expected_ms is not None:
            ahead = expected_ms * self.sample_rate // 1000 - self.samples
            if ahead * 1000 >= DRIFT_MS * self.sample_rate:
                lost = max(lost, ahead)
        if lost * 1000 > MAX_GAP_MS * self.sample_rate:
            raise Refusal(
                "sequence_gap",
                f"track {self.name}: expected sequence {self.next_sequence}, got {sequence}: "
                f"{lost // self.sample_rate} s of audio are missing, more than {MAX_GAP_MS // 1000} s",
            )
        return lost

    def flush(self) -> None:
        """Make a chunk of what has been gathered, if anything has."""
        if not self._buffer:
            return
        rate = self.sample_rate
        end_ms = self.position_ms
        start = self.samples - len(self._buffer) // self._width
        start_ms = start * 1000 // rate
        chunk = AudioChunk(
            call_id=self.call_id,
            track=self.name,
            sequence=self.chunks,
            start_ms=start_ms,
            duration_ms=end_ms - start_ms,
            gap_ms=start_ms - (start - self._gap_samples) * 1000 // rate,
            at_ms=time.time_ns() // 1_000_000 - round((time.monotonic() - self._last_frame_at) * 1000),
            codec=self.codec,
            sample_rate=rate,
            audio=bytes(self._buffer),
        )
        self.chunks += 1
        self._buffer.clear()
        self._gap_samples = 0
        waiting = Pending(chunk, self.next_sequence - 1, self._first_frame_at, self._last_frame_at)
        self.pending.append(waiting)
        self.emit(waiting)

    def flush_if_older(self, than: float) -> None:
        """Make a chunk of frames that wait since before ``than`` for others to come."""
        if self._buffer and self._first_frame_at < than:
            self.flush()

    def settle(self) -> int | None:
        """The newest sequence up to which the broker has everything, where that has moved on."""
        moved = False
        while self.pending and self.pending[0].delivered:
            self.acknowledged = self.pending.popleft().last_sequence
            moved = True
        return self.acknowledged if moved else None
