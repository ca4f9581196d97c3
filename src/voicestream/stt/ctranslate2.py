"""CTranslate2 in this process: int8 on the processor, float16 on a GPU."""

import json
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from voicestream import weights
from voicestream.errors import SttError
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.mel import log_mel
from voicestream.stt.whisper import (
    RATE,
    Token,
    context_of,
    language_of,
    max_tokens,
    recognition_of,
    token_bytes,
    windows,
)

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait starve those that work

try:
    import ctranslate2
except ImportError as error:
    raise ImportError(f"{error}: install voicestream[ctranslate2]") from error

_CONTEXT_FLOOR: Final = 384  # below it the decoder falls into loops
_CONTEXT_STEP: Final = 32  # so that clips of nearly the same length share a batch
_CONTEXT_SIZE: Final = 1500
_POSITION_MS: Final = 20
_FRAMES_PER_POSITION: Final = 2
_FRAMES_PER_S: Final = 100
_LARGEST_BATCH: Final = 8  # larger ones gain little on a processor, and the first clip waits for the last
_LARGEST_BATCH_GPU: Final = 32


@dataclass(frozen=True, slots=True)
class _Piece:
    """At most 30 s of a clip: the clip's number, the start in ms, samples at 16 kHz, context, and language if known."""

    clip: int
    start_ms: int
    samples: npt.NDArray[np.float32]
    context: int
    language: str | None


@dataclass(frozen=True, slots=True)
class _Heard:
    piece: _Piece
    tokens: tuple[Token, ...]
    no_speech_probability: float
    language: str
    ms: float


class CTranslate2:
    """The engine `ctranslate2`.

    `model` is a name that `voicestream models list` has for this engine, given without the ending `-ctranslate2`, or
    the path of a folder with a Whisper model in CTranslate2's format and its tokenizer.json; `capacity` the number of
    workers, each of which computes on `threads` threads. Raises SttError when the model can't be loaded, and
    WeightsError when it can't be had.
    """

    name = "ctranslate2"

    def __init__(self, model: str, *, capacity: int, threads: int = 1) -> None:
        path = Path(model) if os.sep in model else weights.pull(weights.form(model, self.name))
        if not path.is_dir():
            raise SttError(f"there is no model folder {path}")
        self._gpu = ctranslate2.get_cuda_device_count() > 0
        try:
            tokenizer = (path / "tokenizer.json").read_bytes()
            self._tokens = token_bytes(tokenizer)
            special = {token["content"]: token["id"] for token in json.loads(tokenizer)["added_tokens"]}
            self._model = ctranslate2.models.Whisper(
                str(path),
                device="cuda" if self._gpu else "cpu",
                compute_type="float16" if self._gpu else "int8",
                inter_threads=capacity,
                intra_threads=threads,
            )
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise SttError(f"{path} is no model that CTranslate2 can load: {error}") from error
        self.model = path.name.removesuffix(f"-{self.name}")
        self.capacity = capacity
        self._end_of_text = special["<|endoftext|>"]
        self._start = special["<|startoftranscript|>"]
        self._no_timestamps = special["<|notimestamps|>"]
        self._task = special["<|transcribe|>"]
        languages = range(self._start + 1, self._start + 1 + self._model.num_languages)
        self._languages = {token[2:-2]: index for token, index in special.items() if index in languages}
        self._pool = ThreadPoolExecutor(capacity, thread_name_prefix="ctranslate2")

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when it fails or the model doesn't know the language.

        Clips that need the same context are computed together, which may move a confidence by a hundredth: int8 rounds
        differently in other company.
        """
        pieces: list[_Piece] = []
        cut_ms = []
        for number, clip in enumerate(clips):
            started = time.perf_counter()
            language = language_of(clip, self._languages, self.model, multilingual=self._model.is_multilingual)
            for start_ms, samples in windows(clip):
                context = -(-context_of(samples, _CONTEXT_FLOOR) // _CONTEXT_STEP) * _CONTEXT_STEP
                pieces.append(_Piece(number, start_ms, samples, min(context, _CONTEXT_SIZE), language))
            cut_ms.append((time.perf_counter() - started) * 1000)

        heard: list[list[_Heard]] = [[] for _ in clips]
        for batch in self._pool.map(self._transcribe, self._batches(pieces)):
            for one in batch:
                heard[one.piece.clip].append(one)
        return [self._recognition(*of_clip) for of_clip in zip(clips, heard, cut_ms, strict=True)]

    def warm_up(self) -> None:
        """Run every worker once, which allocates what it works with."""
        noise = np.random.default_rng(0).normal(0, 300, RATE).astype(np.int16)
        self.transcribe([Clip(noise, RATE, "en")] * self.capacity)

    def close(self) -> None:
        """Wait for what is being transcribed, then free the model."""
        self._pool.shutdown()
        self._model.unload_model()

    def _batches(self, pieces: Sequence[_Piece]) -> list[list[_Piece]]:
        """Pieces of one context each, over all workers."""
        size = min(math.ceil(len(pieces) / self.capacity), _LARGEST_BATCH_GPU if self._gpu else _LARGEST_BATCH)
        batches = []
        for context in sorted({piece.context for piece in pieces}):
            alike = [piece for piece in pieces if piece.context == context]
            batches += [alike[at : at + size] for at in range(0, len(alike), size)]
        return batches

    def _transcribe(self, pieces: Sequence[_Piece]) -> list[_Heard]:
        started = time.perf_counter()
        frames = pieces[0].context * _FRAMES_PER_POSITION
        features = np.stack([log_mel(piece.samples, frames, self._model.n_mels) for piece in pieces])
        try:
            encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
            languages = self._heard_languages(encoded, pieces)
            results = self._model.generate(
                encoded,
                [[*self._prompt(language), self._no_timestamps] for language in languages],
                beam_size=1,
                max_length=2 * max(max_tokens(piece.samples) for piece in pieces),  # the prompt is given one half of it
                return_no_speech_prob=True,
            )
            texts = [
                [token for token in result.sequences_ids[0] if token < self._end_of_text][: max_tokens(piece.samples)]
                for result, piece in zip(results, pieces, strict=True)
            ]
            aligned = self._align(encoded, pieces, languages, texts)
        except RuntimeError as error:
            raise SttError(f"CTranslate2 failed on {len(pieces)} pieces of audio: {error}") from error
        ms = (time.perf_counter() - started) * 1000
        heard = []
        for piece, tokens, result, language in zip(pieces, aligned, results, languages, strict=True):
            one = _Heard(piece, tokens, result.no_speech_prob, language, ms)
            if len(tokens) == max_tokens(piece.samples) and piece.context < _CONTEXT_SIZE:
                # It came to no end: mostly a loop, which a longer context mostly prevents.
                [again] = self._transcribe([replace(piece, context=min(2 * piece.context, _CONTEXT_SIZE))])
                one = replace(again, ms=ms + again.ms)
            heard.append(one)
        return heard

    def _heard_languages(self, encoded: ctranslate2.StorageView, pieces: Sequence[_Piece]) -> list[str]:
        if all(piece.language for piece in pieces):
            return [str(piece.language) for piece in pieces]
        detected = self._model.detect_language(encoded)
        return [piece.language or best[0][0][2:-2] for piece, best in zip(pieces, detected, strict=True)]

    def _prompt(self, language: str) -> list[int]:
        return [self._start, self._languages[language], self._task] if self._model.is_multilingual else [self._start]

    def _align(
        self,
        encoded: ctranslate2.StorageView,
        pieces: Sequence[_Piece],
        languages: Sequence[str],
        texts: Sequence[list[int]],
    ) -> list[tuple[Token, ...]]:
        """Tokens with the times that the decoder's attention gives them (dynamic time warping) and probabilities."""
        frames = [len(piece.samples) * _FRAMES_PER_S // RATE for piece in pieces]
        aligned: list[tuple[Token, ...]] = [()] * len(pieces)
        for language in set(languages):  # a call of align takes one, and mostly there is one
            asked = [text if own == language else [] for own, text in zip(languages, texts, strict=True)]
            for i, result in enumerate(self._model.align(encoded, self._prompt(language), asked, frames)):
                begin_ms: dict[int, int] = {}
                for token, position in result.alignments:
                    begin_ms.setdefault(token, pieces[i].start_ms + position * _POSITION_MS)
                if asked[i]:
                    aligned[i] = tuple(
                        Token(self._tokens[token], begin_ms[number + 1], probability)  # one ends where the next begins
                        for number, (token, probability) in enumerate(
                            zip(asked[i], result.text_token_probs, strict=True)
                        )
                    )
        return aligned

    def _recognition(self, clip: Clip, heard: Sequence[_Heard], cut_ms: float) -> Recognition:
        heard = sorted(heard, key=lambda one: one.piece.start_ms)
        tokens = [token for one in heard for token in one.tokens]
        language = heard[-1].language if heard else clip.language or "en"
        no_speech = [one.no_speech_probability for one in heard]
        return recognition_of(clip, tokens, language, no_speech, cut_ms + sum(one.ms for one in heard))
