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


@pytest.fixture(scope="session", params=["whisper.cpp", "ctranslate2"])
def engine_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip({"whisper.cpp": "pywhispercpp"}.get(name, name), reason=f"the engine {name} is not installed")
    return name


@pytest.fixture(scope="session")
def engine(engine_name: str) -> Iterator[SttEngine]:
    engine = load_engine(engine_name, "tiny.en", capacity=2)
    engine.warm_up()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def jfk() -> Pcm:
    """11 s at 16 kHz."""
    return read_audio(Path(__file__).parent.parent / "data" / "jfk.flac").channel(0)
