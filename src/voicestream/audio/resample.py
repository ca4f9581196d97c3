"""Change of sample rate, of a whole clip or as it comes in."""

import numpy as np
import numpy.typing as npt
import soxr

from voicestream.audio.codecs import Pcm

_FULL_SCALE = 32768.0


def to_float(pcm: Pcm) -> npt.NDArray[np.float32]:
    """Samples as float32 in [-1, 1)."""
    return pcm.astype(np.float32) / np.float32(_FULL_SCALE)


def to_int16(audio: npt.NDArray[np.float32]) -> Pcm:
    """Float samples in [-1, 1] as int16, rounded; louder ones are clipped."""
    pcm: Pcm = np.clip(np.rint(audio * np.float32(_FULL_SCALE)), -32768, 32767).astype(np.int16)
    return pcm


def resample(pcm: Pcm, from_rate: int, to_rate: int) -> Pcm:
    """A whole clip, one-dimensional int16, at another rate (Hz)."""
    if from_rate == to_rate:
        return pcm
    return to_int16(soxr.resample(to_float(pcm), from_rate, to_rate))


class StreamResampler:
    """Resamples one track as it comes in; the output does not depend on how the input was cut.

    We go through float32 because soxr dithers 16-bit output, and the dither does depend on how the input was cut.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def push(self, pcm: Pcm) -> Pcm:
        """What can be given out after `pcm`; the filter holds back some 25 ms."""
        return to_int16(self._stream.resample_chunk(to_float(pcm)))

    def flush(self) -> Pcm:
        """The rest; the resampler then starts anew."""
        rest = to_int16(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        self._stream.clear()
        return rest
