"""What an engine of speech to text is, and how one is found.

An engine is a plug-in: a package registers a factory under the entry-point group `voicestream.stt_engines`, and the
setting `STT_ENGINE` names it. Engines take no part in Kafka.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol

from voicestream import weights
from voicestream.audio.codecs import Pcm
from voicestream.errors import SttError

ENGINE_GROUP: Final = "voicestream.stt_engines"
AUTO: Final = "auto"
_FASTEST: Final = ("openvino", "ctranslate2", "whisper.cpp")  # by the figures of docs/models.md
_SLOWEST: Final = _FASTEST[-1]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of mono speech: int16 samples, the rate in Hz (8000 or 16000), and its language if that is known.

    The language is an ISO 639-1 code; None lets a multilingual model find it out. `interim` marks the words so far of
    speech that goes on: an engine that is short of time may refuse them before it refuses others.
    """

    pcm: Pcm
    sample_rate: int
    language: str | None = None
    interim: bool = False

    @property
    def duration_ms(self) -> int:
        return len(self.pcm) * 1000 // self.sample_rate


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its punctuation; times in milliseconds from the start of the clip, confidence in [0, 1]."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Recognition:
    """What an engine heard in one clip; `confidence` is the mean over the words, 0 where there are none."""

    text: str
    words: tuple[Word, ...]
    confidence: float
    no_speech_probability: float
    language: str
    inference_ms: float


class SttEngine(Protocol):
    """Speech to text. `transcribe` blocks and may be called by `capacity` threads at once without waiting."""

    @property
    def name(self) -> str:
        """The engine, as the setting names it."""

    @property
    def model(self) -> str:
        """The model, for records and logs."""

    @property
    def capacity(self) -> int:
        """Clips that are transcribed at the same time."""

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when the engine fails."""

    def warm_up(self) -> None:
        """Do what only the first transcription would have to wait for."""

    def close(self) -> None:
        """Give back memory and connections; the engine is of no use afterwards."""


def load_engine(spec: str, model: str, *, capacity: int) -> SttEngine:
    """The engine of that name, with its model loaded.

    `spec` is the name of an entry point (`whisper.cpp`), a URL whose scheme is the name (`grpc://host:50051`), or
    `auto`. The entry point is called as `factory(model, capacity=capacity)`, and with `url=spec` for a URL.

    Raises SttError when no such engine is installed; what the engine raises passes through.
    """
    factory = _factory(engine_name(spec, model))
    return factory(model, capacity=capacity, **({"url": spec} if "://" in spec else {}))


def engine_name(spec: str, model: str) -> str:
    """The engine that a setting means; for `auto` the fastest one that can be imported and has that model.

    Plug-ins of others take no part in `auto`: nobody has measured them. Raises SttError when there is none.
    """
    if spec != AUTO:
        return spec.partition("://")[0]
    passed_over, usable, suited = [], [], []
    for name in _FASTEST:
        try:
            factory = _factory(name)
        except SttError as error:
            passed_over.append(str(error))
            continue
        folder = os.sep in model and Path(model).is_dir()
        if name != _SLOWEST and not (folder or weights.known(weights.form(model, name))):
            passed_over.append(f"{name} has no model {model}")
            continue
        usable.append(name)
        if unsuited := getattr(factory, "unsuited", lambda: None)():
            passed_over.append(unsuited)
        elif name != _SLOWEST:
            suited.append(name)
    if not usable:
        raise SttError(f"no engine of speech to text is installed: {'; '.join(passed_over)}")
    best = (suited or usable)[0]  # one that is not at its best is still faster than the slowest
    reason = f"; of the others: {'; '.join(passed_over)}" if passed_over else ""
    _log.info("speech to text by %s, the fastest engine that is installed%s", best, reason)
    return best


def _factory(name: str) -> Callable[..., SttEngine]:
    found = {entry.name: entry for entry in entry_points(group=ENGINE_GROUP)}
    if name not in found:
        installed = ", ".join(sorted(found)) or "none"
        raise SttError(f"no engine of speech to text is called {name!r}; installed: {installed}")
    try:
        factory: Callable[..., SttEngine] = found[name].load()
    except (ImportError, OSError) as error:
        raise SttError(f"the engine {name!r} can't be imported: {error}") from error
    return factory
