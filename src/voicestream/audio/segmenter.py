"""Endpointing: cuts one track into stretches of speech, by named rules.

Pure: windows of 32 ms and their speech probability go in, segments come out. What comes out depends on the audio
alone, never on how it was delivered, so that a replay makes the same segments with the same numbers.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np

from voicestream.audio.codecs import Pcm
from voicestream.audio.vad import VAD_RATES, WINDOW_MS, window_samples

Rule: TypeAlias = Literal["end_silence", "long_utterance", "max_length", "end_of_call"]

_NOTHING: Final = np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpointing:
    """When a segment starts and ends. Times are milliseconds, rounded up to windows of 32 ms.

    Speech begins where the probability reaches `start_threshold` and lasts while it is at least `end_threshold`. A
    segment is closed by the first of these rules that applies:

    - `end_silence`: nobody has spoken for `end_silence_ms`;
    - `long_utterance`: at least `long_utterance_ms` since speech began, and nobody has spoken for
      `long_utterance_silence_ms`;
    - `max_length`: the segment has reached `max_length_ms`; it is cut at the quietest point between half and five
      sixths of that, and what follows the cut begins the next segment;
    - `end_of_call`: no more audio comes.

    While a segment is open, what is new of it is given out every `piece_ms`; 0: not at all.

    A segment with less than `min_speech_ms` of speech is dropped as noise, unless it continues one that was cut.
    """

    start_threshold: float = 0.5
    end_threshold: float = 0.35
    min_speech_ms: int = 200
    end_silence_ms: int = 600
    long_utterance_ms: int = 8000
    long_utterance_silence_ms: int = 320
    max_length_ms: int = 15000
    padding_before_ms: int = 192
    padding_after_ms: int = 192
    piece_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.end_threshold <= self.start_threshold <= 1:
            raise ValueError(
                f"end_threshold {self.end_threshold} and start_threshold {self.start_threshold}: "
                "need 0 < end_threshold <= start_threshold <= 1"
            )
        if not 0 <= self.padding_after_ms <= min(self.end_silence_ms, self.long_utterance_silence_ms):
            raise ValueError("padding_after_ms must not exceed end_silence_ms or long_utterance_silence_ms")
        if self.padding_before_ms < 0 or self.min_speech_ms < 0 or self.piece_ms < 0:
            raise ValueError("padding_before_ms, min_speech_ms and piece_ms must not be negative")
        if self.max_length_ms < 2 * (self.end_silence_ms + self.padding_before_ms):
            raise ValueError("max_length_ms must be at least twice end_silence_ms and padding_before_ms together")


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A stretch of speech of one track. Times are milliseconds from the start of the track.

    `start_ms` to `end_ms` is the audio, with its padding; `voice_start_ms` to `voice_end_ms` the speech in it.
    """

    number: int
    start_ms: int
    end_ms: int
    voice_start_ms: int
    voice_end_ms: int
    speech_ms: int
    sample_rate: int
    pcm: Pcm
    closed_by: Rule


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What is new of a segment that is still open. Times are milliseconds from the start of the track.

    The first piece of a segment starts at `segment_start_ms`, each further one where the one before it ended; the last
    one may reach beyond the end that the segment turns out to have. There are none while too little was spoken for a
    segment, so to every piece there will be a segment of its `number`.
    """

    number: int
    segment_start_ms: int
    voice_start_ms: int
    start_ms: int
    end_ms: int
    sample_rate: int
    pcm: Pcm


class SegmenterState(msgspec.Struct):
    """Where a segmenter stands, less its audio. Positions count windows from the start of the track."""

    position: int = 0
    number: int = 0
    start: int = 0
    """First window of the open segment."""
    begun: bool = False
    """Whether a segment is open."""
    began: int = 0
    """First window of speech of the open segment."""
    spoke: int = 0
    """The window behind the last one with speech."""
    voice: bool = False
    """Whether the last window was speech (for the hysteresis)."""
    cut: bool = False
    """Whether the open segment continues one that was cut."""
    flags: bytes = b""
    """For each window whose audio is kept, whether it was speech."""


class Segmenter:
    """The state machine of one track at 8000 or 16000 Hz."""

    def __init__(self, sample_rate: int, rules: Endpointing | None = None, state: SegmenterState | None = None) -> None:
        """Start at the beginning of a track, or go on from a `state`: then `refill` the audio it still needs."""
        if sample_rate not in VAD_RATES:
            raise ValueError(f"sample rate {sample_rate} Hz: segments are kept at {VAD_RATES}")
        self.sample_rate: Final = sample_rate
        self._rules: Final = rules or Endpointing()
        self._state = state or SegmenterState()
        self._flags = bytearray(self._state.flags)
        self._first = self._state.position - len(self._flags)  # window that _flags and _windows begin with
        self._windows: list[Pcm] = []
        rules = self._rules
        self._pad_before = _windows(rules.padding_before_ms)
        self._pad_after = _windows(rules.padding_after_ms)
        self._end_silence = _windows(rules.end_silence_ms)
        self._long = _windows(rules.long_utterance_ms)
        self._long_silence = _windows(rules.long_utterance_silence_ms)
        self._max = rules.max_length_ms // WINDOW_MS
        self._every = _windows(rules.piece_ms)
        self._pieces: list[Piece] = []

    @property
    def position(self) -> int:
        """Number of windows taken so far."""
        return self._state.position

    @property
    def oldest_needed(self) -> int:
        """The first window whose audio a later segment may still hold."""
        return self._first

    def state(self) -> SegmenterState:
        """A copy of the state, to go on from after a restart."""
        return msgspec.structs.replace(self._state, flags=bytes(self._flags))

    def refill(self, window: Pcm) -> None:
        """Give back the next window from `oldest_needed` on after a restart, until `position` is reached."""
        self._windows.append(window)

    def push(self, window: Pcm, probability: float) -> Segment | None:
        """Take the next window (256 samples at 8000 Hz, 512 at 16000 Hz); return the segment that it closes, if any."""
        state, rules = self._state, self._rules
        state.voice = probability >= (rules.end_threshold if state.voice else rules.start_threshold)
        self._windows.append(window)
        self._flags.append(state.voice)
        index, state.position = state.position, state.position + 1
        if state.voice:
            if not state.begun:
                state.begun, state.began = True, index
                state.start = max(index - self._pad_before, self._first)
            state.spoke = index + 1
        if not state.begun:
            self._forget(state.position - self._pad_before)
            return None
        silence = state.position - state.spoke
        if silence >= self._end_silence:
            return self._close("end_silence")
        if silence >= self._long_silence and state.spoke - state.began >= self._long:
            return self._close("long_utterance")
        if state.position - state.start >= self._max:
            return self._cut()
        if self._every:
            self._give_out(state.position)
        return None

    def pieces(self) -> list[Piece]:
        """The pieces of open segments since the last call, in order."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def skip(self, windows: int) -> list[Segment]:
        """Take a gap of so many windows as silence and return the segments that it closes.

        A long gap costs no more than a short one: once no segment is open, the rest is passed over.
        """
        silence = np.zeros(window_samples(self.sample_rate), np.int16)
        segments = []
        while windows and self._state.begun:
            windows -= 1
            if segment := self.push(silence, 0.0):
                segments.append(segment)
        if windows:
            self._state.position += windows
            self._windows.clear()
            self._flags.clear()
            self._first = self._state.position
        return segments

    def flush(self, tail: Pcm) -> Segment | None:
        """End the track, whose last samples (less than a window) are `tail`, and return the open segment, if any."""
        return self._close("end_of_call", tail) if self._state.begun else None

    def _close(self, rule: Rule, tail: Pcm = _NOTHING) -> Segment | None:
        state = self._state
        end = state.spoke + self._pad_after
        if end <= state.position:
            tail = _NOTHING
        end = min(end, state.position)
        segment = self._segment(end, rule, tail) if self._long_enough(end) else None
        state.begun = state.cut = False
        self._forget(max(end, state.position - self._pad_before))
        return segment

    def _cut(self) -> Segment:
        state = self._state
        low, high = state.start + self._max // 2, state.start + self._max * 5 // 6
        around = np.stack(self._windows[low - 1 - self._first : high + 1 - self._first]).astype(np.float64)
        energy = np.square(around).sum(axis=1)
        # The quietest place between two windows, so that no word is cut if there is a pause at all.
        cut = low + int(np.argmin(energy[:-1] + energy[1:]))
        segment = self._segment(cut, "max_length", _NOTHING)
        state.begun = state.cut = state.spoke > cut
        if state.begun:
            state.start, state.began = cut, self._first + self._flags.index(True, cut - self._first)
            for end in range(cut + self._every, state.position + 1, self._every) if self._every else ():
                self._give_out(end)
        self._forget(cut if state.begun else max(cut, state.position - self._pad_before))
        return segment

    def _give_out(self, end: int) -> None:
        """Make a piece that ends at this window, if one does.

        It depends on nothing but the open segment, so that there is nothing to remember over a restart.
        """
        state, every = self._state, self._every
        if (end - state.start) % every or not self._long_enough(end):
            return
        follows = end - state.start > every and self._long_enough(end - every)
        start = end - every if follows else state.start
        piece = Piece(
            number=state.number,
            segment_start_ms=state.start * WINDOW_MS,
            voice_start_ms=state.began * WINDOW_MS,
            start_ms=start * WINDOW_MS,
            end_ms=end * WINDOW_MS,
            sample_rate=self.sample_rate,
            pcm=np.concatenate(self._windows[start - self._first : end - self._first]),
        )
        self._pieces.append(piece)

    def _long_enough(self, end: int) -> bool:
        """Whether what is open is a segment with the windows before this one."""
        return self._state.cut or self._speech_ms(end) >= self._rules.min_speech_ms

    def _segment(self, end: int, rule: Rule, tail: Pcm) -> Segment:
        state, windows = self._state, self._windows[self._state.start - self._first : end - self._first]
        segment = Segment(
            number=state.number,
            start_ms=state.start * WINDOW_MS,
            end_ms=end * WINDOW_MS + len(tail) * 1000 // self.sample_rate,
            voice_start_ms=state.began * WINDOW_MS,
            voice_end_ms=min(state.spoke, end) * WINDOW_MS,
            speech_ms=self._speech_ms(end),
            sample_rate=self.sample_rate,
            pcm=np.concatenate([*windows, tail]),
            closed_by=rule,
        )
        state.number += 1
        return segment

    def _speech_ms(self, end: int) -> int:
        return sum(self._flags[self._state.start - self._first : end - self._first]) * WINDOW_MS

    def _forget(self, before: int) -> None:
        """Let go of all windows before this one."""
        count = max(before - self._first, 0)
        del self._windows[:count], self._flags[:count]
        self._first += count


def _windows(ms: int) -> int:
    return -(-ms // WINDOW_MS)
