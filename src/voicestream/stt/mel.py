"""The log-mel spectrogram that Whisper hears, after openai/whisper, audio.py."""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

_SAMPLE_RATE: Final = 16000
_N_FFT: Final = 400
_HOP: Final = 160
_FLOOR: Final = 1e-10
_RANGE: Final = 8.0  # decades below the loudest value


@cache
def mel_filters(n_mels: int) -> npt.NDArray[np.float32]:
    """Triangular filters on Slaney's mel scale with unit area, [n_mels, 201], for 16 kHz and a window of 400.

    The scale: linear up to 1000 Hz, logarithmic above (Slaney, Auditory Toolbox, 1998); computed as librosa does.
    """
    step, corner = 200.0 / 3, 1000.0
    log_step = np.log(6.4) / 27.0

    corner_mel = corner / step
    top_mel = corner_mel + np.log(_SAMPLE_RATE / 2 / corner) / log_step
    mels = np.linspace(0.0, top_mel, n_mels + 2)
    edges = np.where(mels >= corner_mel, corner * np.exp(log_step * (mels - corner_mel)), step * mels)

    bins = np.linspace(0, _SAMPLE_RATE / 2, _N_FFT // 2 + 1)
    width = np.diff(edges)
    slopes = np.subtract.outer(edges, bins)
    filters = np.zeros((n_mels, len(bins)), np.float32)
    for i in range(n_mels):
        filters[i] = np.maximum(0, np.minimum(-slopes[i] / width[i], slopes[i + 2] / width[i + 1]))
    filters *= (2.0 / (edges[2:] - edges[:n_mels]))[:, np.newaxis]
    filters.flags.writeable = False
    return filters


@cache
def _window() -> npt.NDArray[np.float32]:
    return np.hanning(_N_FFT + 1)[:-1].astype(np.float32)


def log_mel(samples: npt.NDArray[np.float32], frames: int, n_mels: int) -> npt.NDArray[np.float32]:
    """Features [n_mels, frames] of float samples at 16 kHz, which silence follows up to the length of `frames`."""
    half = _N_FFT // 2
    heard = min(frames, -(-(len(samples) + half) // _HOP))  # those after it are silent
    padded = np.zeros((heard - 1) * _HOP + _N_FFT, np.float32)
    kept = samples[: len(padded) - half]
    padded[half : half + len(kept)] = kept
    padded[:half] = padded[2 * half : half : -1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP] * _window()
    power = np.abs(np.fft.rfft(windows, axis=1)).astype(np.float32) ** 2

    features: npt.NDArray[np.float32] = np.full((n_mels, frames), np.log10(np.float32(_FLOOR)), np.float32)
    features[:, :heard] = np.log10(np.maximum(mel_filters(n_mels) @ power.T, np.float32(_FLOOR)))
    np.maximum(features, features.max() - np.float32(_RANGE), out=features)
    features += 4
    features /= 4
    return features
