"""Batches of audio to tokens by the OpenVINO models of Whisper."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from voicestream.errors import SttError
from voicestream.stt.alignment import POSITION_MS, ends_ms
from voicestream.stt.mel import log_mel
from voicestream.stt.openvino_graph import Weights
from voicestream.stt.pieces import FRAMES_PER_POSITION, Heard, Piece, Vocabulary
from voicestream.stt.whisper import RATE, Token, max_tokens

_SAMPLES_PER_POSITION: Final = RATE * POSITION_MS // 1000
_HIDDEN: Final = np.float32(-1e9)  # what the mask has for a token that comes later

Logits = npt.NDArray[np.float32]


class Speller:
    """What the decoder reads and writes: embedded tokens, and those that it may not choose.

    `suppressed` are never chosen, `suppressed_first` not as the first token of the text.
    """

    def __init__(
        self, weights: Weights, vocabulary: Vocabulary, suppressed: Sequence[int], suppressed_first: Sequence[int]
    ) -> None:
        self.vocabulary = vocabulary
        self.mels: int = weights["encoder.conv1.weight"].shape[1]
        self._embedding = weights["decoder.token_embedding.weight"]
        self._positions = weights["decoder.positional_embedding"].astype(np.float32)
        end = vocabulary.end_of_text
        self._suppressed = np.array([token for token in suppressed if token <= end], np.intp)
        self._suppressed_first = np.array([token for token in suppressed_first if token <= end], np.intp)

    def embedded(self, tokens: npt.NDArray[np.int64], at: int) -> npt.NDArray[np.float32]:
        """[batch, tokens, state] of tokens that stand at this position."""
        return self._embedding[tokens].astype(np.float32) + self._positions[at : at + tokens.shape[1]]

    def choose(self, logits: Logits, *, first: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The likeliest token of each row of [batch, vocabulary], and its probability among those of text."""
        end = self.vocabulary.end_of_text
        logits = logits[:, : end + 1].copy()
        top = logits.max(axis=1, keepdims=True)
        total = np.exp(logits[:, :end] - top).sum(axis=1)
        logits[:, self._suppressed] = -np.inf
        if first:
            logits[:, self._suppressed_first] = -np.inf
        chosen = logits.argmax(axis=1)
        return chosen, np.exp(logits[np.arange(len(logits)), chosen] - top[:, 0]) / total


@dataclass(slots=True)
class _Row:
    """A piece that is being decoded."""

    most: int
    tokens: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    done: bool = False


class Worker:
    """Hears pieces of one context each, a batch at a time; for one thread."""

    def __init__(self, encoder: Any, decoder: Any, speller: Speller) -> None:
        self._encoder = encoder.create_infer_request()
        self._decoder = decoder.create_infer_request()
        self._outputs = len(encoder.outputs)
        self._speller = speller
        self._vocabulary = speller.vocabulary

    def hear(self, pieces: list[Piece]) -> list[Heard]:
        """What is said in each of them; SttError when OpenVINO fails."""
        started = time.perf_counter()
        # The longest first: it mostly says the most, and what is done can be left off at the end of a batch only.
        order = sorted(range(len(pieces)), key=lambda i: -len(pieces[i].samples))
        try:
            ordered = self._batch([pieces[i] for i in order])
        except RuntimeError as error:
            raise SttError(f"OpenVINO failed on {len(pieces)} pieces of audio: {error}") from error
        ms = (time.perf_counter() - started) * 1000
        return [replace(ordered[order.index(i)], ms=ms) for i in range(len(pieces))]

    def _batch(self, pieces: Sequence[Piece]) -> list[Heard]:
        frames = pieces[0].context * FRAMES_PER_POSITION
        self._encoder.infer([np.stack([log_mel(piece.samples, frames, self._speller.mels) for piece in pieces])])
        *audio, keys = (self._encoder.get_output_tensor(i) for i in range(self._outputs))
        languages = self._languages(pieces, audio)
        prompts = np.array([[*self._vocabulary.prompt(one), self._vocabulary.no_timestamps] for one in languages])
        rows = [_Row(max_tokens(piece.samples)) for piece in pieces]
        no_speech, queries = self._decode(rows, prompts, audio)
        heard = []
        for i, (piece, row, quiet, language) in enumerate(zip(pieces, rows, no_speech, languages, strict=True)):
            tokens = self._timed(piece, row, queries[i], keys.data[i], prompts.shape[1])
            heard.append(Heard(piece, tokens, quiet, language, len(tokens) < row.most, 0.0))
        return heard

    def _languages(self, pieces: Sequence[Piece], audio: Sequence[Any]) -> list[str]:
        if all(piece.language for piece in pieces):
            return [str(piece.language) for piece in pieces]
        self._begin(audio, len(pieces))
        logits, _ = self._step(np.full((len(pieces), 1), self._vocabulary.start), 0)
        codes, ids = list(self._vocabulary.languages), list(self._vocabulary.languages.values())
        best = logits[:, 0, ids].argmax(axis=1)
        return [piece.language or codes[i] for piece, i in zip(pieces, best, strict=True)]

    def _begin(self, audio: Sequence[Any], count: int) -> None:
        self._decoder.reset_state()
        self._keep(audio, range(count), 0)

    def _keep(self, audio: Sequence[Any], rows: range, first: int) -> None:
        """Go on with these rows of the batch alone; `first` was the first row of the step before."""
        self._decoder.set_input_tensor(2, ov.Tensor(np.array(rows, np.int32) - first))
        for i, tensor in enumerate(audio):
            shape = list(tensor.shape)
            part = ov.Tensor(tensor, [rows.start, 0, 0, 0], [rows.stop, *shape[1:]])
            self._decoder.set_input_tensor(3 + i, part)

    def _step(self, tokens: npt.NDArray[np.int64], at: int) -> tuple[Logits, npt.NDArray[np.float32]]:
        """Logits and the queries of the alignment heads, until the next step."""
        width = tokens.shape[1]
        mask = np.triu(np.full((width, at + width), _HIDDEN, np.float32), at + 1)
        self._decoder.set_input_tensor(0, ov.Tensor(self._speller.embedded(tokens, at)))
        self._decoder.set_input_tensor(1, ov.Tensor(mask[np.newaxis, np.newaxis]))
        self._decoder.infer()
        return self._decoder.get_output_tensor(0).data, self._decoder.get_output_tensor(1).data

    def _decode(
        self, rows: Sequence[_Row], tokens: npt.NDArray[np.int64], audio: Sequence[Any]
    ) -> tuple[list[float], npt.NDArray[np.float32]]:
        """Fill the rows; the probabilities that nobody speaks, and the queries [batch, heads, tokens, width]."""
        self._begin(audio, len(rows))
        no_speech: list[float] = []
        queries: list[npt.NDArray[np.float32]] = []
        at, going = 0, range(len(rows))
        while going:
            logits, asked = self._step(tokens, at)
            at += tokens.shape[1]
            if not queries:
                shifted = np.exp(logits[:, 0] - logits[:, 0].max(axis=1, keepdims=True))
                no_speech = (shifted[:, self._vocabulary.no_speech] / shifted.sum(axis=1)).tolist()
            chosen, probabilities = self._speller.choose(logits[:, -1], first=not queries)
            queries.append(np.zeros((len(rows), *asked.shape[1:]), np.float32))
            queries[-1][going.start : going.stop] = asked
            for i, token, probability in zip(going, chosen.tolist(), probabilities.tolist(), strict=True):
                row = rows[i]
                row.done |= token == self._vocabulary.end_of_text or len(row.tokens) == row.most
                if not row.done:
                    row.tokens.append(token)
                    row.probabilities.append(probability)
            before, open_ = going, [i for i in going if not rows[i].done]
            going = range(open_[0], open_[-1] + 1) if open_ else range(0)
            tokens = chosen[going.start - before.start : going.stop - before.start, np.newaxis]
            if going:
                self._keep(audio, going, before.start)
        return no_speech, np.concatenate(queries, axis=2)

    def _timed(
        self, piece: Piece, row: _Row, queries: npt.NDArray[np.float32], keys: npt.NDArray[np.float32], prompt: int
    ) -> tuple[Token, ...]:
        if not row.tokens:
            return ()
        positions = min(len(piece.samples) // _SAMPLES_PER_POSITION, keys.shape[1])
        asked = queries[:, prompt - 1 : prompt + len(row.tokens)]
        scores = asked @ keys[:, :positions].transpose(0, 2, 1) / np.float32(np.sqrt(keys.shape[2]))
        attention = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attention /= attention.sum(axis=-1, keepdims=True)
        return tuple(
            Token(self._vocabulary.text[token], piece.start_ms + end, probability)
            for token, probability, end in zip(row.tokens, row.probabilities, ends_ms(attention), strict=True)
        )
