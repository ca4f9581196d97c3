import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicestream import weights
from voicestream.audio.codecs import Pcm
from voicestream.errors import SttError, WeightsError
from voicestream.stt.engine import Clip
from voicestream.stt.ggml_file import GgmlFile, read_ggml
from voicestream.stt.quantize import quantize

LAYOUT = 700_000  # bytes of header, mel filters, tokens, and some of the first tensors


@pytest.fixture(scope="module")
def copy(tiny_en: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(tiny_en, tmp_path_factory.mktemp("models") / "ggml-copy.bin"))


def test_layout_of_tiny_en(tiny_en: Path) -> None:
    file = read_ggml(tiny_en)
    assert (file.audio_layers, file.text_layers, file.mels) == (4, 4, 80)
    assert not file.multilingual
    assert not file.quantized
    assert len(file.tensors) == 167
    last = file.tensors[-1]
    assert last.start + last.size == tiny_en.stat().st_size


@pytest.mark.parametrize("missing", [1, 10_000_000, 77_000_000, 77_704_715 - 48, 77_704_715])
def test_model_that_is_cut_short_anywhere_is_named(copy: Path, tiny_en: Path, missing: int) -> None:
    content = tiny_en.read_bytes()
    copy.write_bytes(content[:-missing])
    with pytest.raises(WeightsError, match=rf"{copy} is no model that whisper\.cpp can load: .*cut short"):
        read_ggml(copy)
    copy.write_bytes(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, 48) | st.integers(0, LAYOUT), byte=st.binary(min_size=1, max_size=1))
def test_wrong_bytes_in_the_layout_are_named_or_do_no_harm(copy: Path, at: int, byte: bytes) -> None:
    with copy.open("r+b") as file:
        file.seek(at)
        sound = file.read(1)
        file.seek(at)
        file.write(byte)
    try:
        with suppress(WeightsError):
            assert isinstance(read_ggml(copy), GgmlFile)
    finally:
        with copy.open("r+b") as file:
            file.seek(at)
            file.write(sound)


def test_weights_that_are_no_numbers_are_named(copy: Path) -> None:
    """whisper.cpp crashes on some of them."""
    tensor = read_ggml(copy).tensors[-20]
    with copy.open("r+b") as file:
        file.seek(tensor.start)
        sound = file.read(16)
        file.seek(tensor.start)
        file.write(b"\xff" * 16)
    with pytest.raises(WeightsError, match=rf"{tensor.name} are no numbers"):
        read_ggml(copy)
    with copy.open("r+b") as file:
        file.seek(tensor.start)
        file.write(sound)


@pytest.mark.parametrize("file_type", [0, 5, 7, 25, 30, 200, 2007])
def test_file_of_another_type_than_its_tensors_is_refused(copy: Path, file_type: int) -> None:
    with copy.open("r+b") as file:
        file.seek(44)
        file.write(file_type.to_bytes(4, "little"))
    try:
        with pytest.raises(SttError):
            pytest.importorskip("voicestream.stt.whisper_cpp").WhisperCpp(str(copy), capacity=1)
    finally:
        with copy.open("r+b") as file:
            file.seek(44)
            file.write((1).to_bytes(4, "little"))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.bin can't be read"):
        read_ggml(tmp_path / "gone.bin")


@pytest.fixture(scope="module")
def q8_0(tiny_en: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pywhispercpp", reason="the engine whisper.cpp is not installed")
    path = tmp_path_factory.mktemp("quantised") / "ggml-tiny.en-q8_0.bin"
    quantize(tiny_en, path, "q8_0")
    return path


def test_quantised_model_has_the_published_size_and_hears_the_same(q8_0: Path, jfk: Pcm) -> None:
    from voicestream.stt.whisper_cpp import WhisperCpp

    assert q8_0.stat().st_size == 43_550_795
    assert read_ggml(q8_0).quantized
    engine = WhisperCpp(str(q8_0), capacity=1)
    [heard] = engine.transcribe([Clip(jfk, 16000, "en")])
    engine.close()
    assert "ask not what your country can do for you" in heard.text
    assert engine.model == "tiny.en-q8_0"


def test_what_is_quantised_is_not_quantised_again(q8_0: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="quantised already"):
        quantize(q8_0, tmp_path / "again.bin", "q5_1")


def test_quantised_model_is_refused_before_amx_crashes(
    q8_0: Path, tiny_en: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voicestream.stt import whisper_cpp
    from voicestream.stt.libwhisper import LibWhisper

    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text("flags : fpu avx512_bf16 amx_bf16 amx_tile amx_int8\n")
    monkeypatch.setattr(whisper_cpp, "_CPU_INFO", cpu_info)

    class BuiltForAmx(LibWhisper):
        def __init__(self) -> None:
            super().__init__()
            self.lib.ggml_cpu_has_amx_int8 = lambda: 1

    monkeypatch.setattr(whisper_cpp, "LibWhisper", BuiltForAmx)
    with pytest.raises(SttError, match=rf"{q8_0} can't be computed here: .*AMX"):
        whisper_cpp.WhisperCpp(str(q8_0), capacity=1)
    whisper_cpp.WhisperCpp(str(tiny_en), capacity=1).close()
    cpu_info.write_text("flags : fpu avx2\n")
    whisper_cpp.WhisperCpp(str(q8_0), capacity=1).close()


def test_tensor_of_another_name_is_refused_by_the_engine(copy: Path) -> None:
    whisper_cpp = pytest.importorskip("voicestream.stt.whisper_cpp")
    tensor = read_ggml(copy).tensors[0]
    at = tensor.start - len(tensor.name)
    with copy.open("r+b") as file:
        file.seek(at)
        file.write(b"x")
    try:
        with pytest.raises(SttError, match=r"can load: its tensors are not those of its header"):
            whisper_cpp.WhisperCpp(str(copy), capacity=1)
    finally:
        with copy.open("r+b") as file:
            file.seek(at)
            file.write(tensor.name[:1].encode())


@pytest.fixture(scope="module")
def base() -> Path:
    pytest.importorskip("pywhispercpp", reason="the engine whisper.cpp is not installed")
    return weights.cached("base") or pytest.skip("the model base is not here: `voicestream models pull base`")


def test_language_is_found_out_whatever_was_heard_before(base: Path, jfk: Pcm) -> None:
    from voicestream.stt.whisper_cpp import WhisperCpp

    engine = WhisperCpp(str(base), capacity=1)
    heard = [engine.transcribe([Clip(jfk, 16000, language)])[0] for language in (None, "de", None)]
    engine.close()
    assert [one.language for one in heard] == ["en", "de", "en"]
    assert "what your country can do for you" in heard[2].text
