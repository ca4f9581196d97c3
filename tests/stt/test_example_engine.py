"""The plug-in of examples/engines: the contract, and a segment through the stage."""

import importlib
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.stt import stage
from voicestream import topics
from voicestream.audio.codecs import Pcm
from voicestream.errors import SttError
from voicestream.records import SpeechSegment
from voicestream.settings import settings
from voicestream.stt.contract import EngineContract, Speech
from voicestream.stt.engine import Clip, SttEngine, load_engine
from voicestream.testing import TopologyTestDriver

pocketsphinx = pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed: pip install pocketsphinx")
FOLDER = Path(__file__).parents[2] / "examples" / "engines" / "pocketsphinx"


@pytest.fixture(scope="module", autouse=True)
def plug_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The example as pip installs it: on the path, with the entry point of its pyproject.toml."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    installed = site / f"voicestream_pocketsphinx-{project['version']}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    [(group, entries)] = project["entry-points"].items()
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (installed / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.syspath_prepend(FOLDER)
        importlib.invalidate_caches()
        yield


@pytest.fixture(scope="module")
def engine(plug_in: None) -> Iterator[SttEngine]:
    engine = load_engine("pocketsphinx", "en-us", capacity=2)
    engine.warm_up()
    yield engine
    engine.close()


@pytest.fixture
def make_engine() -> Callable[[str], SttEngine]:
    return lambda model: load_engine("pocketsphinx", model, capacity=1)


@pytest.fixture
def model() -> Path:
    return Path(pocketsphinx.get_model_path("en-us"))


@pytest.fixture(scope="module")
def speech(jfk: Pcm) -> Speech:
    return Speech(Clip(jfk[:48000], 16000, "en"), "And so my fellow Americans")


class TestPocketSphinx(EngineContract):
    word_errors = 0.25
    telephone_word_errors = 0.7  # its model was made for 16 kHz


def test_after_closing_it_says_so(jfk: Pcm) -> None:
    engine = load_engine("pocketsphinx", "en-us", capacity=1)
    engine.close()
    with pytest.raises(SttError, match="closed"):
        engine.transcribe([Clip(jfk[:16000], 16000)])


def test_the_stage_transcribes_with_it(monkeypatch: pytest.MonkeyPatch, jfk: Pcm) -> None:
    monkeypatch.setenv("VOICESTREAM_STT_ENGINE", "pocketsphinx")
    settings.cache_clear()
    pcm: Any = jfk[:48000]
    segment = SpeechSegment(
        utterance_id="c/agent/0", call_id="c", track="agent", number=0, start_ms=1000, end_ms=4000,
        voice_start_ms=1300, voice_end_ms=3200,
        speech_ms=1900, at_ms=4000, closed_by="silence",
        sample_rate=16000, audio=pcm.astype("<i2").tobytes(),
    )  # fmt: skip
    try:
        with TopologyTestDriver(stage) as driver:
            driver.topic(topics.segments).send(segment)
            transcript = driver.topic(topics.transcripts).read()
    finally:
        settings.cache_clear()
    assert transcript.engine == "pocketsphinx/en-us"
    assert "my fellow america" in transcript.text
    assert 1000 <= transcript.words[0].start_ms < transcript.words[-1].end_ms <= 4000
