"""What engines share that run Whisper from CTranslate2's weights: pieces of clips, the vocabulary, what was heard."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from voicestream import weights
from voicestream.errors import SttError
from voicestream.stt.batches import Batches
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.whisper import CONTEXT_FLOOR, Token, context_of, language_of, recognition_of, token_bytes, windows

CONTEXT_SIZE: Final = 1500
"""Positions of the encoder in 30 s."""
FRAMES_PER_POSITION: Final = 2
_CONTEXT_STEP: Final = 32  # so that clips of nearly the same length share a batch


def folder_of(model: str, engine: str) -> Path:
    """The folder of a model in CTranslate2's format, by its name or its path; SttError when there is none."""
    path = Path(model) if os.sep in model else weights.pull(weights.form(model, engine))
    if not path.is_dir():
        raise SttError(f"there is no model folder {path}")
    return path


@dataclass(frozen=True, slots=True)
class Piece:
    """At most 30 s of a clip: the start in ms, samples at 16 kHz, context, and language if known."""

    start_ms: int
    samples: npt.NDArray[np.float32]
    context: int
    language: str | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in a piece, whether that came to an end, and the milliseconds that it took."""

    piece: Piece
    tokens: tuple[Token, ...]
    no_speech_probability: float
    language: str
    ended: bool
    ms: float


class Vocabulary:
    """The tokens of a Whisper model, from its tokenizer.json. Raises ValueError or KeyError when that is none."""

    def __init__(self, tokenizer: bytes) -> None:
        self.text = token_bytes(tokenizer)
        special = {token["content"]: token["id"] for token in json.loads(tokenizer)["added_tokens"]}
        self.end_of_text: int = special["<|endoftext|>"]
        self.start: int = special["<|startoftranscript|>"]
        self.no_timestamps: int = special["<|notimestamps|>"]
        self.no_speech: int = self.no_timestamps - 1
        languages = range(self.start + 1, special["<|translate|>"])
        self.languages = {name[2:-2]: index for name, index in special.items() if index in languages}
        self.multilingual = self.end_of_text == len(self.text)  # English models have one token less
        self._transcribe: int = special["<|transcribe|>"]

    def prompt(self, language: str) -> list[int]:
        """What the text follows, but for `no_timestamps`."""
        return [self.start, self.languages[language], self._transcribe] if self.multilingual else [self.start]

    def pieces(self, clip: Clip, model: str) -> list[Piece]:
        """The clip in windows of 30 s; SttError when the model of that name doesn't know its language."""
        language = language_of(clip, self.languages, model, multilingual=self.multilingual)
        pieces = []
        for start_ms, samples in windows(clip):
            context = -(-context_of(samples, CONTEXT_FLOOR) // _CONTEXT_STEP) * _CONTEXT_STEP
            pieces.append(Piece(start_ms, samples, min(context, CONTEXT_SIZE), language))
        return pieces


def hear(
    batches: Batches[Piece, Heard], clips: Sequence[Clip], vocabulary: Vocabulary, model: str
) -> list[Recognition]:
    """One recognition for each clip, in order; SttError when the model of that name doesn't know its language.

    What comes to no end is mostly a loop, which a longer context mostly prevents: it is heard again when all have been.
    """
    cut_ms = []
    cut = []
    for clip in clips:
        started = time.perf_counter()
        cut.append(vocabulary.pieces(clip, model))
        cut_ms.append((time.perf_counter() - started) * 1000)
    heard = [future.result() for future in batches.submit(list(chain.from_iterable(cut)))]
    while endless := [i for i, one in enumerate(heard) if not one.ended and one.piece.context < CONTEXT_SIZE]:
        pieces = [heard[i].piece for i in endless]
        longer = [replace(piece, context=min(2 * piece.context, CONTEXT_SIZE)) for piece in pieces]
        for i, future in zip(endless, batches.submit(longer), strict=True):
            again = future.result()
            heard[i] = replace(again, ms=heard[i].ms + again.ms)
    rest = iter(heard)
    return [_joined(clip, list(islice(rest, len(of))), ms) for clip, of, ms in zip(clips, cut, cut_ms, strict=True)]


def _joined(clip: Clip, heard: Sequence[Heard], cut_ms: float) -> Recognition:
    """What was heard in the pieces of a clip; `cut_ms` is what cutting it took."""
    tokens = [token for one in heard for token in one.tokens]
    language = heard[-1].language if heard else clip.language or "en"
    no_speech = [one.no_speech_probability for one in heard]
    return recognition_of(clip, tokens, language, no_speech, cut_ms + sum(one.ms for one in heard))
