"""From the bytes of a track to its segments, many tracks at a time.

`TrackChunker` is one track: decode, resample, cut into windows, segment. `feed_many` takes audio of many tracks and
runs the voice activity model once for all of them, window by window.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
import numpy as np

from voicestream.audio.codecs import AudioFormat, Pcm
from voicestream.audio.resample import StreamResampler, to_float
from voicestream.audio.segmenter import Endpointing, Piece, Segment, Segmenter, SegmenterState
from voicestream.audio.vad import WINDOW_MS, VadState, VoiceActivity, window_samples


@dataclass(frozen=True, slots=True)
class _Gap:
    windows: int


_Step: TypeAlias = Pcm | _Gap


class TrackState(msgspec.Struct, frozen=True):
    """Where a track stands, less its audio: about 1.5 kB. The audio is read again from `oldest_needed_ms` on."""

    segmenter: SegmenterState
    vad: VadState
    oldest_needed_ms: int
    """Milliseconds from the start of the track; audio before it will not be asked for again."""


class TrackChunker:
    """One track of a call, from its bytes to its segments.

    All times are milliseconds from the start of the track. Audio at 24 and 48 kHz is brought down to 16 kHz.
    """

    def __init__(self, audio_format: AudioFormat, vad: VoiceActivity, rules: Endpointing | None = None) -> None:
        """Start at the beginning of a track."""
        self.format: Final = audio_format
        self.vad: Final = vad
        self._rules = rules
        self._rate = audio_format.segment_rate
        self._window = window_samples(self._rate)
        self._resampler = (
            StreamResampler(audio_format.sample_rate, self._rate) if audio_format.sample_rate != self._rate else None
        )
        self._segmenter = Segmenter(self._rate, rules)
        self._vad_state = VadState()
        self._pending = np.zeros(0, np.int16)  # less than a window
        self._replayed: int | None = None  # next window to refill after a restart; None: none is missing
        self._steps: deque[_Step] = deque()

    @classmethod
    def resume(
        cls,
        audio_format: AudioFormat,
        vad: VoiceActivity,
        rules: Endpointing | None,
        state: TrackState,
        from_ms: int,
    ) -> "TrackChunker":
        """Go on from `state`; the audio fed next begins at `from_ms`, at or before `state.oldest_needed_ms`.

        The segments that follow are those that would have come without the restart, to the sample at 8 and 16 kHz. Gaps
        after `from_ms` are to be skipped again. ValueError if `from_ms` is too late.
        """
        if not 0 <= from_ms <= state.oldest_needed_ms:
            raise ValueError(f"audio from {from_ms} ms: the state needs it from {state.oldest_needed_ms} ms on")
        chunker = cls(audio_format, vad, rules)
        chunker._segmenter = Segmenter(chunker._rate, rules, msgspec.structs.replace(state.segmenter))
        chunker._vad_state = msgspec.structs.replace(state.vad)
        chunker._replayed, into_window = divmod(from_ms * chunker._rate // 1000, chunker._window)
        # Windows stay where they were: the lacking start of the first one is older than anything needed.
        chunker._pending = np.zeros(into_window, np.int16)
        return chunker

    @property
    def oldest_needed_ms(self) -> int:
        """Audio before this time is in no segment still to come: its source may be committed."""
        return self._segmenter.oldest_needed * WINDOW_MS

    def state(self) -> TrackState:
        """A copy of the state, for `resume`. To be taken between calls of `feed_many`."""
        return TrackState(self._segmenter.state(), msgspec.structs.replace(self._vad_state), self.oldest_needed_ms)

    def skip(self, ms: int) -> None:
        """Put silence of this length where audio was lost, before the audio fed next; its cost is bounded."""
        if ms < 0:
            raise ValueError(f"a gap of {ms} ms: it must not be negative")
        if self._resampler:
            self._take(self._resampler.flush())
        gap = ms * self._rate // 1000
        fill = min(gap, -len(self._pending) % self._window)
        self._take(np.zeros(fill, np.int16))
        windows, rest = divmod(gap - fill, self._window)
        if windows:
            self._steps.append(_Gap(windows))
        self._take(np.zeros(rest, np.int16))

    def feed(self, audio: bytes) -> list[Segment]:
        """Take audio of this track alone; see `feed_many`."""
        return feed_many([(self, audio)])[0]

    def flush(self) -> list[Segment]:
        """End of the track: its last segments. Nothing may be fed after."""
        if self._resampler:
            self._take(self._resampler.flush())
        segments = self.feed(b"")
        last = self._segmenter.flush(self._pending)
        return [*segments, last] if last else segments

    def pieces(self) -> list[Piece]:
        """What is new of open segments since the last call, if the rules ask for it."""
        return self._segmenter.pieces()

    def _accept(self, pcm: Pcm) -> Iterator[_Step]:
        """All steps up to the end of `pcm`, gaps before it first."""
        self._take(self._resampler.push(pcm) if self._resampler else pcm)
        while self._steps:
            yield self._steps.popleft()

    def _take(self, pcm: Pcm) -> None:
        audio = np.concatenate([self._pending, pcm])
        whole = len(audio) // self._window * self._window
        self._steps.extend(audio[:whole].reshape(-1, self._window))
        self._pending = audio[whole:]

    def _without_model(self, step: _Step) -> list[Segment] | None:
        """What a step gives that needs no voice activity; None if it does need it."""
        if self._replayed is not None:
            return self._replay(step, self._replayed)
        if isinstance(step, _Gap):
            self._vad_state = VadState()
            return self._segmenter.skip(step.windows)
        return None

    def _replay(self, step: _Step, index: int) -> list[Segment] | None:
        missing = self._segmenter.position - index
        if missing <= 0:
            self._replayed = None
            return self._without_model(step)
        count = min(step.windows, missing) if isinstance(step, _Gap) else 1
        window = np.zeros(self._window, np.int16) if isinstance(step, _Gap) else step
        for _ in range(max(index, self._segmenter.oldest_needed), index + count):
            self._segmenter.refill(window)
        self._replayed = index + count
        if isinstance(step, _Gap) and step.windows > count:
            return self._replay(_Gap(step.windows - count), self._replayed)
        return []


def feed_many(items: Sequence[tuple[TrackChunker, bytes]]) -> list[list[Segment]]:
    """Take audio of many tracks and return, for each item, the segments that it closed.

    A track may come more than once; its items are taken in order. Raises AudioFormatError, before any track has taken
    anything, if the audio of an item is malformed.
    """
    decoded = [(chunker, chunker.format.decode(audio)) for chunker, audio in items]
    queues: dict[TrackChunker, deque[tuple[int, _Step]]] = {}
    for number, (chunker, pcm) in enumerate(decoded):
        queues.setdefault(chunker, deque()).extend((number, step) for step in chunker._accept(pcm))
    segments: list[list[Segment]] = [[] for _ in items]
    while queues:
        batches: dict[tuple[VoiceActivity, int], list[tuple[TrackChunker, int, Pcm]]] = {}
        for chunker in list(queues):
            queue = queues[chunker]
            while queue:
                number, step = queue.popleft()
                done = chunker._without_model(step)
                if done is None:
                    assert isinstance(step, np.ndarray)
                    batches.setdefault((chunker.vad, chunker._rate), []).append((chunker, number, step))
                    break
                segments[number] += done
            else:
                del queues[chunker]
        for (vad, rate), batch in batches.items():
            windows = to_float(np.stack([window for _, _, window in batch]))
            probabilities = vad.probabilities(windows, [chunker._vad_state for chunker, _, _ in batch], rate)
            for (chunker, number, window), probability in zip(batch, probabilities.tolist(), strict=True):
                if segment := chunker._segmenter.push(window, probability):
                    segments[number].append(segment)
    return segments
