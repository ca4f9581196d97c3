"""Telephone codecs: bytes on the wire to 16-bit samples and back.

mu-law and A-law are ITU-T Recommendation G.711 (11/1988). Both ways go by look-up table: 256 entries to decode, 65 536
to encode.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from voicestream.errors import AudioFormatError

Codec: TypeAlias = Literal["mulaw", "alaw", "pcm16"]
Pcm: TypeAlias = npt.NDArray[np.int16]
_Codes: TypeAlias = npt.NDArray[np.uint8]

CODECS: Final[tuple[Codec, ...]] = get_args(Codec)
SAMPLE_RATES: Final = (8000, 16000, 24000, 48000)


def _mulaw_levels() -> Pcm:
    # G.711 table 2: all bits are inverted on the wire; sign, 3-bit segment, 4-bit step; 14-bit levels, here times 4.
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_levels() -> Pcm:
    # G.711 table 1: every second bit is inverted on the wire; 13-bit levels, here times 8.
    code = np.arange(256) ^ 0x55
    segment = (code & 0x70) >> 4
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _mulaw_codes() -> _Codes:
    """The code of every 16-bit sample, indexed by the sample seen as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum(np.abs(sample), 32635) + 0x84  # 32635: the largest that the last segment holds
    segment = np.floor(np.log2(biased)).astype(np.int32) - 7
    step = (biased >> (segment + 3)) & 0x0F
    code = (segment << 4) | step | np.where(sample < 0, 0x80, 0)
    codes: _Codes = (~code & 0xFF).astype(np.uint8)
    return codes


def _alaw_codes() -> _Codes:
    """The code of every 16-bit sample, indexed by the sample seen as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # A negative level is the one's complement of its positive twin, so that -1 and 0 fall on either side of the sign.
    magnitude = np.where(sample < 0, ~sample, sample)
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 7, 0)
    step = (magnitude >> np.where(segment == 0, 4, segment + 3)) & 0x0F
    code = (segment << 4) | step | np.where(sample < 0, 0, 0x80)
    return (code ^ 0x55).astype(np.uint8)


_LEVELS: Final = {"mulaw": _mulaw_levels(), "alaw": _alaw_levels()}
_CODES: Final = {"mulaw": _mulaw_codes(), "alaw": _alaw_codes()}


def decode(codec: Codec, audio: bytes) -> Pcm:
    """Samples of encoded mono audio, one-dimensional int16; PCM16 is little-endian.

    Raises AudioFormatError for an unknown codec or for PCM16 of an odd number of bytes.
    """
    if codec == "pcm16":
        if len(audio) % 2:
            raise AudioFormatError(
                f"pcm16 audio of {len(audio)} bytes: samples take 2 bytes, so the number must be even"
            )
        return np.frombuffer(audio, dtype="<i2").astype(np.int16, copy=False)
    if codec not in _LEVELS:
        raise AudioFormatError(f"unknown codec {codec!r}: use one of {', '.join(CODECS)}")
    levels: Pcm = _LEVELS[codec][np.frombuffer(audio, dtype=np.uint8)]
    return levels


def encode(codec: Codec, pcm: Pcm) -> bytes:
    """Bytes of one-dimensional int16 samples; the inverse of `decode`.

    Raises AudioFormatError for an unknown codec or for samples that are not one-dimensional int16.
    """
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise AudioFormatError(f"samples are {pcm.dtype} of shape {pcm.shape}: one-dimensional int16 is needed")
    if codec == "pcm16":
        return pcm.astype("<i2", copy=False).tobytes()
    if codec not in _CODES:
        raise AudioFormatError(f"unknown codec {codec!r}: use one of {', '.join(CODECS)}")
    return _CODES[codec][pcm.view(np.uint16)].tobytes()


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Codec and sample rate (Hz) of a track; AudioFormatError if we do not speak it."""

    codec: Codec
    sample_rate: int

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise AudioFormatError(f"unknown codec {self.codec!r}: use one of {', '.join(CODECS)}")
        if self.sample_rate not in SAMPLE_RATES:
            raise AudioFormatError(
                f"sample rate {self.sample_rate!r} Hz: use one of {', '.join(map(str, SAMPLE_RATES))}"
            )

    @property
    def bytes_per_sample(self) -> int:
        """2 for PCM16, else 1."""
        return 2 if self.codec == "pcm16" else 1

    @property
    def segment_rate(self) -> int:
        """The rate (Hz) at which segments of such a track are kept: 8000 or 16000."""
        return min(self.sample_rate, 16000)

    def decode(self, audio: bytes) -> Pcm:
        """Samples of `audio`; see the function `decode`."""
        return decode(self.codec, audio)

    def encode(self, pcm: Pcm) -> bytes:
        """Bytes of `pcm`; see the function `encode`."""
        return encode(self.codec, pcm)

    def duration_ms(self, nbytes: int) -> int:
        """Whole milliseconds that `nbytes` of audio last; AudioFormatError if they are no whole number of samples."""
        if nbytes % self.bytes_per_sample:
            raise AudioFormatError(
                f"{self.codec} audio of {nbytes} bytes: samples take {self.bytes_per_sample} bytes each"
            )
        return nbytes // self.bytes_per_sample * 1000 // self.sample_rate
