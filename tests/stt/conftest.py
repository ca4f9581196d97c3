import subprocess
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


def _installed(name: str) -> str:
    pytest.importorskip({"whisper.cpp": "pywhispercpp"}.get(name, name), reason=f"the engine {name} is not installed")
    return name


@pytest.fixture(scope="session", params=["whisper.cpp", "ctranslate2"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Those that load the model themselves."""
    return _installed(request.param)


@pytest.fixture(scope="session")
def stt_server(tiny_en: Path) -> Iterator[str]:
    """The address of the native server, for the engine `grpc`; it must end well."""
    _installed("grpc")
    built = sorted((Path(__file__).parents[2] / "build" / "native").glob("*/stt_server"))
    if not built:
        pytest.skip("the native server is not built: `make native`")
    command = [built[0], "--model", tiny_en, "--listen", "127.0.0.1:0", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"grpc://{server.stdout.readline().split()[3]}"
        server.terminate()
        assert server.wait(timeout=30) == 0


@pytest.fixture(scope="session", params=["whisper.cpp", "ctranslate2", "grpc"])
def engine(request: pytest.FixtureRequest) -> Iterator[SttEngine]:
    name = _installed(request.param)
    spec = request.getfixturevalue("stt_server") if name == "grpc" else name
    engine = load_engine(spec, "tiny.en", capacity=2)
    assert engine.name == name
    engine.warm_up()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def jfk() -> Pcm:
    """11 s at 16 kHz."""
    return read_audio(Path(__file__).parent.parent / "data" / "jfk.flac").channel(0)
