from pathlib import Path

import numpy as np
import pytest

from voicestream.audio.codecs import Pcm
from voicestream.audio.files import read_audio
from voicestream.audio.resample import resample
from voicestream.audio.vad import VoiceActivity

JFK = Path(__file__).parent.parent / "data" / "jfk.flac"


@pytest.fixture(scope="session")
def vad() -> VoiceActivity:
    return VoiceActivity()


@pytest.fixture(scope="session")
def speech() -> Pcm:
    """11 s of speech at 8 kHz, in three phrases with pauses of half a second and more between them."""
    return resample(read_audio(JFK).channel(0), 16000, 8000)


@pytest.fixture(scope="session")
def noise() -> Pcm:
    """A minute of the hiss of a line, 8 kHz."""
    return np.random.default_rng(1).normal(0, 30, 60 * 8000).astype(np.int16)
