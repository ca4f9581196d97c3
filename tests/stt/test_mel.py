"""The log-mel front end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicestream.audio.codecs import Pcm
from voicestream.audio.resample import to_float
from voicestream.stt.mel import log_mel, mel_filters


def by_definition(samples: np.ndarray, frames: int) -> np.ndarray:
    """As openai/whisper writes it: silence to the full length, mirrored ends, one frame after the other, in float64."""
    silent_to_the_end = np.pad(samples.astype(np.float64), (0, frames * 160 - len(samples)))
    padded = np.pad(silent_to_the_end, 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = [np.abs(np.fft.rfft(padded[i * 160 : i * 160 + 400] * window)) ** 2 for i in range(frames)]
    decades = np.log10(np.maximum(mel_filters(80).astype(np.float64) @ np.array(power).T, 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4) / 4


@pytest.mark.parametrize("seconds", [0.5, 3, 7.5])
def test_features_are_those_of_the_definition(jfk: Pcm, seconds: float) -> None:
    samples = to_float(jfk[: int(seconds * 16000)])
    features = log_mel(samples, 768, 80)
    assert features.shape == (80, 768)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, by_definition(samples, 768), atol=1e-4)


@given(st.integers(400, 3200), st.integers(0, 10))
def test_silence_after_a_clip_changes_nothing(length: int, more: int) -> None:
    samples = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    longer = np.pad(samples, (0, 160 * more))
    np.testing.assert_allclose(log_mel(samples, 40, 80), log_mel(longer, 40, 80), atol=1e-5)


def test_digital_silence_is_flat() -> None:
    assert np.ptp(log_mel(np.zeros(8000, np.float32), 100, 80)) == 0
