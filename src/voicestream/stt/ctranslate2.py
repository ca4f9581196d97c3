"""CTranslate2 in this process: int8 on the processor, float16 on a GPU."""

import os
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from voicestream.errors import SttError
from voicestream.stt.alignment import POSITION_MS
from voicestream.stt.batches import LARGEST, LARGEST_GPU, Batches, workers_for
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.mel import log_mel
from voicestream.stt.pieces import (
    FRAMES_PER_POSITION,
    Heard,
    Piece,
    Vocabulary,
    folder_of,
    hear,
)
from voicestream.stt.whisper import RATE, Token, max_tokens, noise

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait starve those that work

try:
    import ctranslate2
except ImportError as error:
    raise ImportError(f"{error}: install voicestream[ctranslate2]") from error

_FRAMES_PER_S: Final = 100


class CTranslate2:
    """The engine `ctranslate2`.

    `model` is a name that `voicestream models list` has for this engine, given without the ending `-ctranslate2`, or
    the path of a folder with a Whisper model in CTranslate2's format and its tokenizer.json; `capacity` the number of
    clips that are transcribed at the same time: by as many workers as there are processors, of `threads` threads each,
    in batches where there are more clips than workers. Raises SttError when the model can't be loaded, and WeightsError
    when it can't be had.
    """

    name = "ctranslate2"

    def __init__(self, model: str, *, capacity: int, threads: int = 1) -> None:
        path = folder_of(model, self.name)
        self.capacity = capacity
        self._workers = workers_for(capacity, threads)
        self._gpu = ctranslate2.get_cuda_device_count() > 0
        try:
            self._vocabulary = Vocabulary((path / "tokenizer.json").read_bytes())
            self._model = ctranslate2.models.Whisper(
                str(path),
                device="cuda" if self._gpu else "cpu",
                compute_type="float16" if self._gpu else "int8",
                inter_threads=self._workers,
                intra_threads=threads,
            )
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise SttError(f"{path} is no model that CTranslate2 can load: {error}") from error
        self.model = path.name.removesuffix(f"-{self.name}")
        self._batches = Batches[Piece, Heard](
            [self._transcribe] * self._workers,
            largest=LARGEST_GPU if self._gpu else LARGEST,
            alike=lambda piece: piece.context,
            name=self.name,
        )

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when it fails or the model doesn't know the language.

        Clips that wait at the same time and need the same context are computed together, whoever asks, which may move
        a word by 20 ms and its confidence by some hundredths: int8 rounds differently in other company.
        """
        return hear(self._batches, clips, self._vocabulary, self.model)

    def warm_up(self) -> None:
        """Run every worker once, which allocates what it works with."""
        self.transcribe(noise(self._workers))

    def close(self) -> None:
        """Wait for what is being transcribed, then free the model."""
        self._batches.close()
        self._model.unload_model()

    def _transcribe(self, pieces: Sequence[Piece]) -> list[Heard]:
        started = time.perf_counter()
        frames = pieces[0].context * FRAMES_PER_POSITION
        features = np.stack([log_mel(piece.samples, frames, self._model.n_mels) for piece in pieces])
        try:
            encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
            languages = self._heard_languages(encoded, pieces)
            results = self._model.generate(
                encoded,
                [[*self._vocabulary.prompt(language), self._vocabulary.no_timestamps] for language in languages],
                beam_size=1,
                max_length=2 * max(max_tokens(piece.samples) for piece in pieces),  # the prompt is given one half of it
                return_no_speech_prob=True,
            )
            end_of_text = self._vocabulary.end_of_text
            texts = [
                [token for token in result.sequences_ids[0] if token < end_of_text][: max_tokens(piece.samples)]
                for result, piece in zip(results, pieces, strict=True)
            ]
            aligned = self._align(encoded, pieces, languages, texts)
        except RuntimeError as error:
            raise SttError(f"CTranslate2 failed on {len(pieces)} pieces of audio: {error}") from error
        ms = (time.perf_counter() - started) * 1000
        return [
            Heard(piece, tokens, result.no_speech_prob, language, len(tokens) < max_tokens(piece.samples), ms)
            for piece, tokens, result, language in zip(pieces, aligned, results, languages, strict=True)
        ]

    def _heard_languages(self, encoded: ctranslate2.StorageView, pieces: Sequence[Piece]) -> list[str]:
        if all(piece.language for piece in pieces):
            return [str(piece.language) for piece in pieces]
        detected = self._model.detect_language(encoded)
        return [piece.language or best[0][0][2:-2] for piece, best in zip(pieces, detected, strict=True)]

    def _align(
        self,
        encoded: ctranslate2.StorageView,
        pieces: Sequence[Piece],
        languages: Sequence[str],
        texts: Sequence[list[int]],
    ) -> list[tuple[Token, ...]]:
        """Tokens with the times that the decoder's attention gives them (dynamic time warping) and probabilities."""
        frames = [len(piece.samples) * _FRAMES_PER_S // RATE for piece in pieces]
        aligned: list[tuple[Token, ...]] = [()] * len(pieces)
        for language in set(languages):  # a call of align takes one, and mostly there is one
            asked = [text if own == language else [] for own, text in zip(languages, texts, strict=True)]
            for i, result in enumerate(self._model.align(encoded, self._vocabulary.prompt(language), asked, frames)):
                begin_ms: dict[int, int] = {}
                for token, position in result.alignments:
                    begin_ms.setdefault(token, pieces[i].start_ms + position * POSITION_MS)
                if asked[i]:
                    aligned[i] = tuple(  # one ends where the next begins
                        Token(self._vocabulary.text[token], begin_ms[number + 1], probability)
                        for number, (token, probability) in enumerate(
                            zip(asked[i], result.text_token_probs, strict=True)
                        )
                    )
        return aligned
