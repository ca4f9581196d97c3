from collections.abc import Iterator
from pathlib import Path

import pytest

from voicestream import weights
from voicestream.audio.codecs import Pcm
from voicestream.audio.files import read_audio
from voicestream.stt.engine import SttEngine, load_engine


@pytest.fixture(scope="session")
def tiny_en() -> Path:
    return weights.pull("tiny.en")


@pytest.fixture(scope="session")
def engine(tiny_en: Path) -> Iterator[SttEngine]:
    engine = load_engine("whisper.cpp", "tiny.en", capacity=2)
    engine.warm_up()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def jfk() -> Pcm:
    """11 s at 16 kHz."""
    return read_audio(Path(__file__).parent.parent / "data" / "jfk.flac").channel(0)
