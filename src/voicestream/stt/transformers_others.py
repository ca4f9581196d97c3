"""Models of speech to text other than Whisper in the engine `transformers`."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import transformers

from voicestream.stt.engine import Clip
from voicestream.stt.transformers_models import load_whole
from voicestream.stt.transformers_whisper import Heard, Listener, Samples
from voicestream.stt.whisper import RATE, Token

_UNKNOWN = "und"


def other_listener(path: Path, config: Any, device: str, dtype: Any) -> Listener:
    """The listener for a folder: with times and probabilities for a CTC model, else what its pipeline gives.

    Raises OSError, ValueError, LookupError, RuntimeError or SafetensorError when the folder holds no such model.
    """
    if any("ForCTC" in architecture for architecture in config.architectures or ()):
        return CtcListener(path, device, dtype)
    return PipelineListener(path, device, dtype)


class _OwnLanguage:
    """A model that hears its own language, whatever it is told."""

    def language(self, clip: Clip, name: str) -> str | None:
        return clip.language.partition("-")[0].lower() if clip.language else None


class CtcListener(_OwnLanguage):
    """A CTC model, as wav2vec2: greedy, a word ends with its last letter; it has no estimate of silence."""

    def __init__(self, path: Path, device: str, dtype: Any) -> None:
        self._model = load_whole(transformers.AutoModelForCTC, path).to(device, dtype).eval()
        self._extractor = transformers.AutoFeatureExtractor.from_pretrained(path)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(path)

    def hear(self, pieces: Sequence[Samples], languages: Sequence[str | None]) -> list[Heard]:
        # One by one: what stands beside a clip, and how it is padded, changes what many of these models hear.
        return [self._hear(piece, language) for piece, language in zip(pieces, languages, strict=True)]

    def _hear(self, piece: Samples, language: str | None) -> Heard:
        features = self._extractor(piece, sampling_rate=RATE, return_tensors="pt")
        given = {
            name: tensor.to(self._model.device, self._model.dtype if tensor.is_floating_point() else None)
            for name, tensor in features.items()
        }
        logits = self._model(**given).logits[0].float()
        best = logits.softmax(-1).max(-1)
        ids = best.indices.tolist()
        frame_ms = len(piece) / RATE * 1000 / len(ids)
        parts: list[tuple[int, list[float]]] = []  # for each word its end and the probabilities of its letters
        text = ""
        end = 0
        for _, run in groupby(ids):
            start, end = end, end + len(list(run))
            longer = self._tokenizer.decode(ids[:end])  # which knows of blanks, repeated letters and spaces
            if longer == text:
                continue
            text = longer
            parts += [(0, [])] * (len(text.split()) - len(parts))
            if parts:
                parts[-1] = (round(end * frame_ms), [*parts[-1][1], float(best.values[start:end].max())])
        tokens = tuple(
            Token(f" {word}".encode(), end_ms, sum(probabilities) / max(len(probabilities), 1))
            for word, (end_ms, probabilities) in zip(text.split(), parts, strict=False)
        )
        return Heard(tokens, 0.0 if tokens else 1.0, language or _UNKNOWN)


class PipelineListener(_OwnLanguage):
    """Any other model, by transformers' own pipeline: its text; words share the time of the piece by their length."""

    def __init__(self, path: Path, device: str, dtype: Any) -> None:
        self._pipeline = transformers.pipeline(
            "automatic-speech-recognition", model=str(path), device=device, dtype=dtype
        )

    def hear(self, pieces: Sequence[Samples], languages: Sequence[str | None]) -> list[Heard]:
        heard = []
        for piece, language in zip(pieces, languages, strict=True):
            text = self._pipeline({"raw": piece, "sampling_rate": RATE})["text"]
            tokens = tuple(spread(text, len(piece) * 1000 // RATE))
            heard.append(Heard(tokens, 0.0 if tokens else 1.0, language or _UNKNOWN))
        return heard


def spread(text: str, duration_ms: int) -> list[Token]:
    """The words of a text over a time, each for as long as it has letters; their probability, which none gave, is 1."""
    words = text.split()
    letters = sum(len(word) for word in words)
    tokens = []
    at = 0
    for word in words:
        at += len(word)
        tokens.append(Token(f" {word}".encode(), duration_ms * at // letters, 1.0))
    return tokens
