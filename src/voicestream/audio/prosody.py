"""Tone of voice of one segment: pitch, energy and rate, and how far they are from what is usual for the speaker.

These are acoustic measures. They tell an agitated voice from a calm one; they do not tell anger from joy, and nothing
here claims to.
"""

import math
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from voicestream.audio.codecs import Pcm
from voicestream.audio.resample import resample, to_float

_Floats: TypeAlias = npt.NDArray[np.float64]

_RATE: Final = 8000
_FRAME: Final = 320  # 40 ms: three periods of the lowest pitch
_HOP: Final = 80  # 10 ms
_FFT: Final = 512
_LOWEST_HZ: Final = 75
_HIGHEST_HZ: Final = 400
_VOICED: Final = 0.5  # least height of the autocorrelation's peak
_OCTAVE_COST: Final = 0.02  # per octave, so that of equal peaks the higher pitch wins
_ACTIVE_DB: Final = 25.0  # frames this far below the loudest ones are no speech
_DIP_DB: Final = 2.0

_WINDOW: Final[_Floats] = np.hanning(_FRAME)
_LAG_RATE: Final = 2 * _RATE  # lags by half a sample: the peaks of a high voice are too narrow for whole ones
_LAGS: Final = np.arange(_LAG_RATE // _HIGHEST_HZ, _LAG_RATE // _LOWEST_HZ + 1)


class Prosody(msgspec.Struct, frozen=True, kw_only=True):
    """Acoustic measures of a segment; None where there is no voice to measure."""

    pitch_hz: float | None
    """Median fundamental frequency."""
    pitch_range: float | None
    """Semitones from the 10th to the 90th percentile of the fundamental frequency."""
    voiced: float
    """Share of the frames with speech that are voiced, in [0, 1]."""
    energy_dbfs: float
    """RMS level of the frames with speech, in dB below a full-scale square wave; -100 for silence."""
    speech_rate: float | None
    """Syllable nuclei a second, estimated, between the first and the last frame with speech."""


def measure(pcm: Pcm, sample_rate: int) -> Prosody:
    """Measure one segment of int16 samples at `sample_rate` Hz.

    Pitch: the autocorrelation of Hann-windowed frames, divided by that of the window, with parabolic interpolation of
    its peak (P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of
    a sampled sound", 1993). Rate: peaks of intensity at least 2 dB above the dips beside them, in voiced frames (N. de
    Jong and T. Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically", Behavior Research
    Methods 41, 2009).
    """
    audio = to_float(resample(pcm, sample_rate, _RATE)).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, (0, max(_FRAME - len(audio), 0))), _FRAME)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.square(frames).mean(axis=1)
    level = 10 * np.log10(power + 1e-10)
    active = (level > np.percentile(level, 95) - _ACTIVE_DB) & (level > -70)
    if not active.any():
        return Prosody(pitch_hz=None, pitch_range=None, voiced=0.0, energy_dbfs=-100.0, speech_rate=None)
    pitch = _pitch(frames, active)
    heard = pitch[~np.isnan(pitch)]
    low, median, high = np.percentile(heard, (10, 50, 90)) if len(heard) else (0.0, 0.0, 0.0)
    span = np.flatnonzero(active)
    seconds = int(span[-1] - span[0] + 1) * _HOP / _RATE
    return Prosody(
        pitch_hz=float(median) if len(heard) else None,
        pitch_range=12 * math.log2(high / low) if len(heard) else None,
        voiced=len(heard) / int(active.sum()),
        energy_dbfs=float(10 * np.log10(power[active].mean())),
        speech_rate=_nuclei(level, ~np.isnan(pitch)) / seconds if len(heard) else None,
    )


def _autocorrelation(frames: _Floats) -> _Floats:
    """Autocorrelation for the lags 0 to the longest and one more, each frame's divided by its value at 0."""
    # A 512-point transform is free of wrap-around up to a lag of 192 samples; the longest we look at is 107.
    power = np.square(np.abs(np.fft.rfft(frames * _WINDOW, _FFT)))
    result: _Floats = np.fft.irfft(power, _FFT * _LAG_RATE // _RATE)[:, : _LAGS[-1] + 2]
    return result / np.maximum(result[:, :1], 1e-12)


_WINDOW_AUTOCORRELATION: Final = _autocorrelation(np.ones((1, _FRAME)))[0]


def _pitch(frames: _Floats, active: npt.NDArray[np.bool_]) -> _Floats:
    """Fundamental frequency of each frame in Hz, NaN where unvoiced."""
    pitch = np.full(len(frames), np.nan)
    similarity = _autocorrelation(frames[active]) / _WINDOW_AUTOCORRELATION
    before, here, after = similarity[:, _LAGS - 1], similarity[:, _LAGS], similarity[:, _LAGS + 1]
    # A parabola through three lags finds the true place and height of a peak.
    curvature = np.minimum(before - 2 * here + after, -1e-9)
    offset = np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)
    height = here - 0.25 * (before - after) * offset
    is_peak = (here > before) & (here >= after)
    merit = np.where(is_peak, height - _OCTAVE_COST * np.log2(_LAGS), -np.inf)
    row, best = np.arange(len(merit)), merit.argmax(axis=1)
    lag = _LAGS[best] + offset[row, best]
    is_voiced = np.isfinite(merit[row, best]) & (height[row, best] > _VOICED)
    hertz = np.where(is_voiced, _LAG_RATE / lag, np.nan)
    if is_voiced.any():
        # What lies most of an octave from the median is, nearly always, an octave error.
        hertz[np.abs(np.log2(hertz / np.nanmedian(hertz))) > 0.8] = np.nan
    pitch[active] = hertz
    return pitch


def _nuclei(level: _Floats, is_voiced: npt.NDArray[np.bool_]) -> int:
    """Number of peaks of `level` (dB) in voiced frames with a dip of 2 dB on either side."""
    smooth = np.convolve(np.pad(level, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    floor = float(np.median(smooth))
    count, top, top_at, bottom, rising = 0, -math.inf, 0, math.inf, True
    for at, value in enumerate([*smooth.tolist(), -math.inf]):
        if rising:
            if value > top:
                top, top_at = value, at
            elif value < top - _DIP_DB:
                count += top > floor - _DIP_DB and bool(is_voiced[max(top_at - 2, 0) : top_at + 3].any())
                rising, bottom = False, value
        elif value < bottom:
            bottom = value
        elif value > bottom + _DIP_DB:
            rising, top, top_at = True, value, at
    return count


class _Running(msgspec.Struct):
    """Mean and variance of what has been seen (B. P. Welford, Technometrics 4, 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of the squared differences from the mean."""

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    def score(self, value: float, usual: float) -> float:
        """How many standard deviations `value` is above the mean.

        `usual` is the deviation to expect of anybody: it counts like three observations, so that the first utterances
        give no wild scores.
        """
        if not self.count:
            return 0.0
        return (value - self.mean) / math.sqrt((self.squares + 3 * usual**2) / (self.count + 2))


class SpeakerBaseline(msgspec.Struct):
    """What is usual for one speaker of one call. Serialisable; a few numbers whatever the length of the call."""

    pitch: _Running = msgspec.field(default_factory=_Running)
    energy: _Running = msgspec.field(default_factory=_Running)
    rate: _Running = msgspec.field(default_factory=_Running)

    def arousal(self, prosody: Prosody) -> float:
        """How much more agitated than usual for the speaker a segment sounds, in [0, 1]; 0.5 is as usual.

        The logistic function of the mean z-score of pitch (semitones), energy (dB) and rate against what was added
        before. They rise with arousal, whatever the emotion (K. R. Scherer, "Vocal communication of emotion: a review
        of research paradigms", Speech Communication 40, 2003).
        """
        scores = [self.energy.score(prosody.energy_dbfs, 3.0)]
        if prosody.pitch_hz is not None:
            scores.append(self.pitch.score(_semitones(prosody.pitch_hz), 2.0))
        if prosody.speech_rate is not None:
            scores.append(self.rate.score(prosody.speech_rate, 1.0))
        return 1 / (1 + math.exp(-sum(scores) / len(scores)))

    def add(self, prosody: Prosody) -> None:
        """Count a segment in; segments without voice say nothing of the speaker."""
        if prosody.pitch_hz is None:
            return
        self.pitch.add(_semitones(prosody.pitch_hz))
        self.energy.add(prosody.energy_dbfs)
        if prosody.speech_rate is not None:
            self.rate.add(prosody.speech_rate)


def _semitones(hertz: float) -> float:
    return 12 * math.log2(hertz / 100)
