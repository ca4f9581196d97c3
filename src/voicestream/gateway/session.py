"""One call: its tracks, its events, and the connection that it has at the moment."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Protocol

from confluent_kafka import KafkaError

from voicestream import topics
from voicestream.gateway.producer import RecordProducer
from voicestream.gateway.protocol import Refusal
from voicestream.gateway.stats import GatewayStats
from voicestream.gateway.track import Pending, TrackStream
from voicestream.records import CallEvent, EndOfCall, Track

STALE_S = 0.2


class Line(Protocol):
    """The connection of a call, as the session sees it."""

    def acknowledge(self, track: Track, sequence: int) -> None:
        """The broker has all frames of ``track`` up to ``sequence``."""

    def refuse(self, refusal: Refusal) -> None:
        """Close the connection because of ``refusal``."""

    def farewell(self, reason: str, duration_ms: int) -> None:
        """Close the connection because the call was ended with ``reason``."""


@dataclass(frozen=True)
class Call:
    """What the caller said of the call."""

    call_id: str
    protocol: str
    tracks: tuple[Track, ...]
    codec: str
    sample_rate: int
    queue: str | None = None
    agent: str | None = None
    customer: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Session:
    """A live call. ``line`` is None while the connection is lost."""

    def __init__(self, call: Call, producer: RecordProducer, stats: GatewayStats) -> None:
        self.call = call
        self.line: Line | None = None
        self.lost_at: float | None = None
        self.closed_cleanly = False
        self.began = time.monotonic()
        self.started_at_ms = time.time_ns() // 1_000_000
        self.ended: str | None = None
        self.fault: str | None = None
        self._producer = producer
        self._stats = stats
        self._events = 0
        self._settled = asyncio.Event()
        self.tracks = [
            TrackStream(call.call_id, name, call.codec, call.sample_rate, emit=self._emit) for name in call.tracks
        ]
        self._by_name = {track.name: track for track in self.tracks}
        self._event("started")
        stats.started[call.protocol] += 1

    @property
    def duration_ms(self) -> int:
        return max(track.position_ms for track in self.tracks)

    def add_frame(self, index: int, sequence: int, audio: bytes, expected_ms: int | None = None) -> None:
        """Take a frame of the track with ``index``; raises ``Refusal``."""
        if index >= len(self.tracks):
            raise Refusal("unknown_track", f"track {index}: the call has tracks 0 to {len(self.tracks) - 1}")
        track = self.tracks[index]
        gap_ms = track.gap_ms
        stats = self._stats
        stats.frames += 1
        stats.bytes += len(audio)
        if track.add(sequence, audio, time.monotonic(), expected_ms):
            stats.gap_ms += track.gap_ms - gap_ms
        else:
            stats.duplicates += 1

    def has(self, track: Track | None) -> bool:
        """Whether the call carries ``track``."""
        return track in self._by_name

    def note(self, kind: str, value: str, track: Track | None) -> None:
        """A ``dtmf`` or ``mark``; raises ``Refusal`` (``unknown_track``)."""
        if track is not None and track not in self._by_name:
            raise Refusal("unknown_track", f"track {track!r}: the call has {', '.join(self._by_name)}")
        self._event(kind, value=value, track=track)

    def attach(self, line: Line) -> None:
        """Give the call a connection, and the connection the acknowledgements that it may have missed."""
        self.line = line
        self.lost_at = None
        for track in self.tracks:
            if track.acknowledged >= 0:
                line.acknowledge(track.name, track.acknowledged)

    def detach(self, line: Line, cleanly: bool) -> None:
        """The connection is gone; nothing happens where another one has taken over."""
        if self.line is line:
            self.line = None
            self.lost_at = time.monotonic()
            self.closed_cleanly = cleanly
            self.flush()

    def flush(self, older_than: float | None = None) -> None:
        """Send what has been gathered, or only what waits since before ``older_than`` (monotonic seconds)."""
        for track in self.tracks:
            if older_than is None:
                track.flush()
            else:
                track.flush_if_older(older_than)

    def end(self, reason: str) -> None:
        """End the call: the last chunk, the marker behind it, the event."""
        if self.ended is not None:
            return
        self.flush()
        self.ended = reason
        now_ms = time.time_ns() // 1_000_000
        marker = EndOfCall(
            call_id=self.call.call_id, stage="gateway", at_ms=now_ms, duration_ms=self.duration_ms, reason=reason
        )
        self._producer.send(topics.audio, marker)
        self._event("ended", reason=reason)
        self._stats.ended[reason] += 1

    async def settled(self, timeout_s: float) -> None:
        """Wait until the broker has all audio; raises ``Refusal`` (``overloaded``) after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                while any(track.pending for track in self.tracks):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            raise Refusal("overloaded", "the broker has not confirmed the last audio of the call") from None

    def _emit(self, waiting: Pending) -> None:
        track = self._by_name[waiting.chunk.track]

        def delivered(error: KafkaError | None) -> None:
            if error is not None:
                self._stats.lost_chunks += 1
                self.fault = f"the broker refused audio: {error.str()}"
                return
            now = time.monotonic()
            self._stats.chunks += 1
            self._stats.ingest_ms.add((now - waiting.last_frame_at) * 1000)
            self._stats.ingest_first_frame_ms.add((now - waiting.first_frame_at) * 1000)
            waiting.delivered = True
            acknowledged = track.settle()
            if acknowledged is not None:
                self._settled.set()
                if self.line is not None:
                    self.line.acknowledge(track.name, acknowledged)

        self._producer.send(topics.audio, waiting.chunk, delivered)

    def _event(
        self, kind: str, value: str | None = None, track: Track | None = None, reason: str | None = None
    ) -> None:
        call = self.call
        event = CallEvent(
            event_id=f"{call.call_id}/{kind}/{self._events}",
            call_id=call.call_id,
            kind=kind,
            sequence=self._events,
            at_ms=time.time_ns() // 1_000_000,
            protocol=call.protocol,
            tracks=list(call.tracks),
            codec=call.codec,
            sample_rate=call.sample_rate,
            queue=call.queue,
            agent=call.agent,
            customer=call.customer,
            metadata=call.metadata,
            value=value,
            track=track,
            reason=reason,
        )
        self._events += 1
        self._producer.send(topics.calls, event)

    def describe(self) -> dict[str, object]:
        """The state of the line, for people who look."""
        return {
            "connected": self.line is not None,
            "duration_ms": self.duration_ms,
            "tracks": {
                track.name: {
                    "position_ms": track.position_ms,
                    "next": track.next_sequence,
                    "acknowledged": track.acknowledged,
                    "frames": track.frames,
                    "duplicates": track.duplicates,
                    "gap_ms": track.gap_ms,
                    "chunks": track.chunks,
                    "unacknowledged_chunks": len(track.pending),
                }
                for track in self.tracks
            },
        }
