"""One call to be played, and what came of it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from voicestream.audio.codecs import AudioFormat
from voicestream.audio.files import AudioFile, read_audio, to_frames
from voicestream.records import Track

Protocol = Literal["twilio", "raw"]

FRAME_MS = 20
TELEPHONE = AudioFormat("mulaw", 8000)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call: who speaks, and the frames (20 ms of mu-law at 8 kHz) of each track, all tracks of one length."""

    call_id: str
    frames: Mapping[Track, list[bytes]]
    queue: str | None = None
    agent: str | None = None
    customer: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_file(
        cls,
        path: Path | str,
        *,
        call_id: str | None = None,
        queue: str | None = None,
        agent: str | None = None,
        customer: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> "Call":
        """A call of an audio file: stereo is agent left and customer right, mono is one track; any rate.

        Raises ``AudioFileError`` when the file is no audio. Without a ``call_id`` it gets a new one.
        """
        audio = read_audio(path)
        return cls(
            call_id=call_id or new_call_id(Path(path)),
            frames=_frames(audio),
            queue=queue,
            agent=agent,
            customer=customer,
            metadata=metadata or {},
        )

    @property
    def length(self) -> int:
        """Frames of a track."""
        return max(map(len, self.frames.values()))

    @property
    def duration_s(self) -> float:
        return self.length * FRAME_MS / 1000


@dataclass(kw_only=True)
class Played:
    """How a call went: times in seconds, latencies in milliseconds."""

    call_id: str
    protocol: Protocol
    frames: int = 0
    took_s: float = 0.0
    late_ms: float = 0.0
    """The longest that a frame was sent after its time."""
    ack_ms: list[float] = field(default_factory=list)
    """From the sending of a frame to its acknowledgement; our own protocol only."""
    reconnects: int = 0


def new_call_id(path: Path) -> str:
    """An id that was never used, which tells the file."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in path.stem)[:80]
    return f"{name}-{uuid.uuid4().hex[:8]}"


def _frames(audio: AudioFile) -> dict[Track, list[bytes]]:
    tracks: tuple[Track, ...] = ("mono",) if audio.channels.shape[1] == 1 else ("agent", "customer")
    return {
        track: list(to_frames(audio.channel(number), audio.sample_rate, TELEPHONE, FRAME_MS))
        for number, track in enumerate(tracks)
    }
