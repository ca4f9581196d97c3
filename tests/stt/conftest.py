import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest.register_assert_rewrite("voicestream.stt.contract")

from voicestream import weights  # noqa: E402
from voicestream.audio.codecs import Pcm  # noqa: E402
from voicestream.audio.files import read_audio  # noqa: E402
from voicestream.stt.contract import Speech  # noqa: E402
from voicestream.stt.engine import ENGINE_GROUP, Clip, SttEngine, load_engine  # noqa: E402

SAID = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"
IN_PROCESS = ["whisper.cpp", "ctranslate2", "transformers", "whisper-cpp-python", "openvino"]


@pytest.fixture(scope="session")
def tiny_en() -> Path:
    return weights.pull("tiny.en")


def _installed(name: str) -> str:
    if name == "whisper.cpp":
        pytest.importorskip("pywhispercpp", reason="the engine whisper.cpp is not installed")
    for entry in entry_points(group=ENGINE_GROUP, name=name):
        try:
            entry.load()
        except ImportError as error:
            pytest.skip(f"the engine {name} is not installed: {error}")
    return name


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


@pytest.fixture(scope="session", params=[*IN_PROCESS, "grpc"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Every engine that is installed."""
    return _installed(request.param)


@pytest.fixture(scope="session")
def engine_spec(engine_name: str, request: pytest.FixtureRequest) -> str:
    """What the setting would be."""
    return str(request.getfixturevalue("stt_server")) if engine_name == "grpc" else engine_name


@pytest.fixture(scope="session")
def engine(engine_name: str, engine_spec: str) -> Iterator[SttEngine]:
    engine = load_engine(engine_spec, "tiny.en", capacity=2)
    assert engine.name == engine_name
    engine.warm_up()
    yield engine
    engine.close()


@pytest.fixture
def make_engine(engine_spec: str) -> Callable[[str], SttEngine]:
    return lambda model: load_engine(engine_spec, model, capacity=1)


@pytest.fixture
def model(engine_name: str) -> Path | str:
    return "tiny.en" if engine_name == "grpc" else weights.pull(weights.form("tiny.en", engine_name))


@pytest.fixture(scope="session")
def jfk() -> Pcm:
    """11 s at 16 kHz."""
    return read_audio(Path(__file__).parent.parent / "data" / "jfk.flac").channel(0)


@pytest.fixture(scope="session")
def speech(jfk: Pcm) -> Speech:
    return Speech(Clip(jfk, 16000, "en"), SAID)
