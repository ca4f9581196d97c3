"""Audio chunks of many calls to segments of speech.

The audio topic is the changelog: the audio of an open segment is never written to a store. What is written, once in
five seconds of audio, is where the tracks of a call stand; the offset of the oldest chunk that this state needs is not
committed. After a crash the audio is read again from there, and the same segments come out.
"""

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import msgspec

from voicestream.audio.codecs import AudioFormat, Codec
from voicestream.audio.segmenter import Endpointing, Piece, Segment
from voicestream.audio.tracks import TrackChunker, TrackState, feed_many
from voicestream.audio.vad import VoiceActivity
from voicestream.records import AudioChunk, EndOfCall, EndOfUtterance, SpeechPiece, SpeechSegment
from voicestream.records.track import Track
from voicestream.streams.clock import now_ms
from voicestream.streams.message import Event, Message
from voicestream.streams.policies import BatchError
from voicestream.streams.record import Record
from voicestream.streams.state.store import Store

log = logging.getLogger(__name__)

CHECKPOINT_MS = 5_000  # of audio of a track
DEAD_LINE_MS = 60_000  # without audio, of a call whose end never came; the gateway gives up on a client long before
FORGET_MS = 3_600_000  # how long the end of a call is remembered, against late audio


class CallState(msgspec.Struct):
    """Where the tracks of a call stand, or when the call ended."""

    tracks: dict[str, TrackState] = {}
    ended_at_ms: int | None = None


class _Source(NamedTuple):
    start_ms: int
    at_ms: int
    offset: int


@dataclass
class _OpenTrack:
    chunker: TrackChunker
    sources: deque[_Source] = field(default_factory=deque)
    next_sequence: int = 0
    checkpoint_ms: int = 0
    end_ms: int = 0

    def heard_at_ms(self, end_ms: int) -> int:
        """When the gateway had the last of the audio before ``end_ms``, in Unix epoch ms."""
        heard = [source.at_ms for source in self.sources if source.start_ms < end_ms]
        return heard[-1] if heard else now_ms()


@dataclass
class _OpenCall:
    partition: int
    topic: str
    heard_ms: int
    at_ms: int = 0
    tracks: dict[Track, _OpenTrack] = field(default_factory=dict)
    held: int | None = None
    ended: bool = False


class _Fed(NamedTuple):
    call: _OpenCall
    chunk: AudioChunk


class CallChunker:
    """The processor of the chunking stage; one for all calls of a worker, so that voice activity runs in batches."""

    def __init__(self, store: Store[CallState], rules: Endpointing | None = None) -> None:
        """``rules`` with ``piece_ms`` let it give out open segments as well, piece by piece."""
        self._store = store
        self._rules = rules or Endpointing()
        self._vad = VoiceActivity()
        self._calls: dict[str, _OpenCall] = {}
        self._saved: dict[str, int | None] = {}

    async def process(self, events: Sequence[Event[AudioChunk | EndOfCall]]) -> list[Record]:
        """Segments of the audio, each call's ``EndOfCall`` behind its last one."""
        out: list[Record] = []
        failures: dict[int, Exception] = {}
        feeding: list[_Fed] = []
        for position, event in enumerate(events):
            try:
                if isinstance(event.record, EndOfCall):
                    out += self._feed(feeding)
                    feeding = []
                    out += self._end(event.message.partition, event.record)
                    continue
                if event.record.gap_ms:
                    out += self._feed(feeding)  # the gap comes behind what was said before it
                    feeding = []
                if (fed := self._accept(event.record, event.message)) is not None:
                    feeding.append(fed)
            except (ValueError, msgspec.ValidationError) as error:
                failures[position] = error
        out += self._feed(feeding)
        self._checkpoint()
        if failures:
            raise BatchError(failures, list(out))
        return out

    async def punctuate(self, now: int) -> list[Record]:
        """End the calls whose line is dead."""
        out: list[Record] = []
        for call_id, call in list(self._calls.items()):
            if now - call.heard_ms >= DEAD_LINE_MS and not call.ended:
                log.warning("call %s: no audio for %d s and no end of call: ended", call_id, DEAD_LINE_MS // 1000)
                duration = max((track.end_ms for track in call.tracks.values()), default=0)
                end = EndOfCall(
                    call_id=call_id, stage="chunking", at_ms=call.at_ms, duration_ms=duration, reason="timeout"
                )
                out += self._end(call.partition, end)
        for partition, call_id in self._store:
            state = self._store.open(partition, call_id)
            if state.value and state.value.ended_at_ms is not None and now - state.value.ended_at_ms > FORGET_MS:
                state.value = None
                self._store.save(state)
        return out

    def oldest_needed(self, topic: str, partition: int) -> int | None:
        """The offset of the oldest chunk that the checkpoints in the changelog need."""
        held = [c.held for c in self._calls.values() if c.partition == partition and c.topic == topic]
        return min((offset for offset in held if offset is not None), default=None)

    def checkpointed(self) -> None:
        """The checkpoints are in the changelog: chunks that only older ones needed may go."""
        for call_id, held in self._saved.items():
            self._calls[call_id].held = held
        self._saved.clear()
        for call_id in [call_id for call_id, call in self._calls.items() if call.ended]:
            del self._calls[call_id]

    def discard(self) -> None:
        """Partitions are assigned anew; their audio is read again."""
        self._calls.clear()
        self._saved.clear()

    def _accept(self, chunk: AudioChunk, message: Message) -> _Fed | None:
        state = self._store.open(message.partition, chunk.call_id).value
        if state is not None and state.ended_at_ms is not None:
            log.warning("call %s: audio after its end is dropped", chunk.call_id)
            return None
        audio_format = AudioFormat(cast(Codec, chunk.codec), chunk.sample_rate)  # which checks the codec
        audio_format.duration_ms(len(chunk.audio))  # raises for half a sample
        call = self._calls.setdefault(chunk.call_id, _OpenCall(message.partition, message.topic, now_ms()))
        track = call.tracks.get(chunk.track)
        if track is None:
            saved = state.tracks.get(chunk.track) if state is not None else None
            track = call.tracks[chunk.track] = _OpenTrack(self._open(chunk, audio_format, saved))
            track.next_sequence = chunk.sequence
            call.held = message.offset if call.held is None else call.held
        if audio_format != track.chunker.format:
            raise ValueError(
                f"call {chunk.call_id}, track {chunk.track}: chunk {chunk.sequence} is {chunk.codec} at "
                f"{chunk.sample_rate} Hz, but the track is {track.chunker.format.codec} at "
                f"{track.chunker.format.sample_rate} Hz"
            )
        if chunk.sequence < track.next_sequence:
            return None  # sent twice by a gateway that did not hear the broker's answer
        if chunk.gap_ms:
            track.chunker.skip(chunk.gap_ms)
        track.next_sequence = chunk.sequence + 1
        track.sources.append(_Source(chunk.start_ms, chunk.at_ms, message.offset))
        track.end_ms = chunk.start_ms + chunk.duration_ms
        call.heard_ms, call.at_ms = now_ms(), chunk.at_ms
        return _Fed(call, chunk)

    def _open(self, chunk: AudioChunk, audio_format: AudioFormat, saved: TrackState | None) -> TrackChunker:
        before = chunk.start_ms - chunk.gap_ms
        if saved is not None and before <= saved.oldest_needed_ms:
            return TrackChunker.resume(audio_format, self._vad, self._rules, saved, before)
        if saved is not None:
            # The topic no longer has the audio that the checkpoint needs. Number on, with silence in its place.
            log.error(
                "call %s, track %s: audio before %d ms is gone from the topic", chunk.call_id, chunk.track, before
            )
            resumed = TrackChunker.resume(audio_format, self._vad, self._rules, saved, saved.oldest_needed_ms)
            resumed.skip(before - saved.oldest_needed_ms)
            return resumed
        chunker = TrackChunker(audio_format, self._vad, self._rules)
        if before > 0:
            chunker.skip(before)
        return chunker

    def _feed(self, feeding: list[_Fed]) -> list[Record]:
        items = [(call.tracks[chunk.track].chunker, chunk.audio) for call, chunk in feeding]
        closed = [
            self._record(chunk.call_id, chunk.track, call.tracks[chunk.track], segment)
            for (call, chunk), segments in zip(feeding, feed_many(items), strict=True)
            for segment in segments
        ]
        if not self._rules.piece_ms:
            return list(closed)
        fed = {(chunk.call_id, chunk.track): call.tracks[chunk.track] for call, chunk in feeding}
        return [*closed, *self._speech(fed, closed)]

    def _speech(self, fed: Mapping[tuple[str, Track], _OpenTrack], closed: Iterable[SpeechSegment]) -> list[Record]:
        """The pieces of open segments, and behind those of each the end of it, if it has been closed."""
        speech: list[SpeechPiece | EndOfUtterance] = [
            self._piece(call_id, name, track, piece)
            for (call_id, name), track in fed.items()
            for piece in track.chunker.pieces()
        ]
        speech += [
            EndOfUtterance(
                utterance_id=segment.utterance_id,
                call_id=segment.call_id,
                track=segment.track,
                number=segment.number,
                stage="chunking",
                at_ms=segment.at_ms,
            )
            for segment in closed
        ]
        return [*sorted(speech, key=lambda record: record.number)]

    def _end(self, partition: int, end: EndOfCall) -> list[Record]:
        state = self._store.open(partition, end.call_id)
        if state.value is not None and state.value.ended_at_ms is not None:
            return []
        call = self._calls.get(end.call_id)
        out: list[Record] = []
        for name, track in call.tracks.items() if call is not None else ():
            closed = [self._record(end.call_id, name, track, segment) for segment in track.chunker.flush()]
            out += [*closed, *(self._speech({(end.call_id, name): track}, closed) if self._rules.piece_ms else ())]
        if call is not None:
            call.ended = True  # it holds its audio until the end is in the changelog
        state.value = CallState(ended_at_ms=now_ms())
        self._store.save(state)
        return [*out, msgspec.structs.replace(end, stage="chunking")]

    def _record(self, call_id: str, name: Track, track: _OpenTrack, segment: Segment) -> SpeechSegment:
        return SpeechSegment(
            utterance_id=f"{call_id}/{name}/{segment.number}",
            call_id=call_id,
            track=name,
            number=segment.number,
            start_ms=segment.start_ms,
            end_ms=segment.end_ms,
            voice_start_ms=segment.voice_start_ms,
            voice_end_ms=segment.voice_end_ms,
            speech_ms=segment.speech_ms,
            at_ms=track.heard_at_ms(segment.end_ms),
            closed_by=segment.closed_by,
            sample_rate=segment.sample_rate,
            audio=segment.pcm.astype("<i2", copy=False).tobytes(),
        )

    def _piece(self, call_id: str, name: Track, track: _OpenTrack, piece: Piece) -> SpeechPiece:
        return SpeechPiece(
            utterance_id=f"{call_id}/{name}/{piece.number}",
            call_id=call_id,
            track=name,
            number=piece.number,
            segment_start_ms=piece.segment_start_ms,
            voice_start_ms=piece.voice_start_ms,
            start_ms=piece.start_ms,
            end_ms=piece.end_ms,
            at_ms=track.heard_at_ms(piece.end_ms),
            sample_rate=piece.sample_rate,
            audio=piece.pcm.astype("<i2", copy=False).tobytes(),
        )

    def _checkpoint(self) -> None:
        for call_id, call in self._calls.items():
            if call.ended or not any(t.end_ms - t.checkpoint_ms >= CHECKPOINT_MS for t in call.tracks.values()):
                continue
            state = self._store.open(call.partition, call_id)
            state.value = CallState({name: track.chunker.state() for name, track in call.tracks.items()})
            self._store.save(state)
            for track in call.tracks.values():
                track.checkpoint_ms = track.end_ms
                needed = track.chunker.oldest_needed_ms
                while len(track.sources) > 1 and track.sources[1].start_ms <= needed:
                    track.sources.popleft()
            self._saved[call_id] = min(t.sources[0].offset for t in call.tracks.values() if t.sources)
