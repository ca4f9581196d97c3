"""What every engine of Whisper needs: how a clip is cut, how much of the model it takes, and words from tokens."""

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from voicestream.audio.resample import resample, to_float
from voicestream.errors import SttError
from voicestream.stt.engine import Clip, Recognition, Word

RATE: Final = 16000
TEXT_TOKENS: Final = 50257
"""Byte-pair tokens in the vocabulary; languages, times and tasks come after them."""
UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages that are written without spaces."""
CONTEXT_FLOOR: Final = 384
"""Positions of the encoder that a clip gets at least: below it the decoder falls into loops."""
_CONTEXT_PER_S: Final = 50
_CONTEXT_MARGIN: Final = 64
_TOKENS_PER_S: Final = 6  # fast speech has about five
_TOKENS_MARGIN: Final = 12
_WINDOW: Final = 30 * RATE  # samples, as those below: what Whisper hears at once
_SHORTEST: Final = RATE // 10
_PADDED: Final = RATE // 2
_LONGEST_WORD_MS: Final = 200  # and for each letter:
_LONGEST_LETTER_MS: Final = 80


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text in UTF-8, which may end within a character, and when it was over, in milliseconds."""

    text: bytes
    end_ms: int
    probability: float


def language_of(clip: Clip, known: Container[str], model: str, *, multilingual: bool) -> str | None:
    """The code of the language that a clip is to be heard in; None where the model is to find it out.

    Raises SttError for a language that Whisper, or this model, doesn't know.
    """
    if clip.language is None:
        return None if multilingual else "en"
    language = clip.language.partition("-")[0].lower()
    if language not in known:
        raise SttError(f"Whisper doesn't know the language {clip.language!r}")
    if language != "en" and not multilingual:
        raise SttError(f"the model {model} knows English alone, the clip is in {clip.language!r}: use base")
    return language


def noise(count: int) -> list[Clip]:
    """So many clips of a second of quiet noise, to warm up an engine with."""
    return [Clip(np.random.default_rng(0).normal(0, 300, RATE).astype(np.int16), RATE, "en")] * count


def windows(clip: Clip) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """The clip in pieces of at most 30 s at 16 kHz, each with its start in ms; none in less than 0.1 s.

    A short piece is padded with silence to 0.5 s: no engine can align words in a few frames.
    """
    samples = to_float(resample(clip.pcm, clip.sample_rate, RATE))
    for start in range(0, len(samples) - _SHORTEST + 1, _WINDOW):
        window = samples[start : start + _WINDOW]
        padded = np.zeros(max(len(window), _PADDED), np.float32)
        padded[: len(window)] = window
        yield start * 1000 // RATE, padded


def context_of(window: npt.NDArray[np.float32], floor: int) -> int:
    """Positions of the encoder for a window: what it takes and a margin, and never so few that the decoder loops."""
    return max(int(len(window) / RATE * _CONTEXT_PER_S) + _CONTEXT_MARGIN, floor)


def max_tokens(window: npt.NDArray[np.float32]) -> int:
    """More tokens than anybody speaks in the window: where a loop is stopped."""
    return int(len(window) / RATE * _TOKENS_PER_S) + _TOKENS_MARGIN


def token_bytes(tokenizer: bytes) -> list[bytes]:
    """The byte-pair tokens of a tokenizer.json by id. GPT-2 writes bytes that don't print as letters from U+0100."""
    vocabulary: dict[str, int] = json.loads(tokenizer)["model"]["vocab"]
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in printable]
    to_byte = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
    tokens = sorted((index, token) for token, index in vocabulary.items())[:TEXT_TOKENS]
    return [bytes(to_byte[char] for char in token) for _, token in tokens]


def recognition_of(
    clip: Clip, tokens: Sequence[Token], language: str, no_speech: Iterable[float], inference_ms: float
) -> Recognition:
    """What was heard in a clip; `no_speech` has the probability that there is none in each of its windows."""
    words = words_of(tokens, clip.duration_ms, spaced=language not in UNSPACED)
    return Recognition(
        text=b"".join(token.text for token in tokens).decode(errors="ignore").strip(),
        words=words,
        confidence=float(np.mean([word.confidence for word in words])) if words else 0.0,
        no_speech_probability=min(max(min(no_speech, default=1.0), 0.0), 1.0),
        language=language,
        inference_ms=inference_ms,
    )


def words_of(tokens: Sequence[Token], duration_ms: int, *, spaced: bool = True) -> tuple[Word, ...]:
    """Tokens joined to words, with times in order and within [0, duration_ms].

    A word begins at a token with a leading space; in a script without spaces, at any token that begins a character.
    Punctuation belongs to the word before it. A word starts where the one before it ended, but not so early that it
    would be drawled: a pause belongs to neither.
    """
    groups: list[list[Token]] = []
    for token in tokens:
        text = token.text.decode(errors="replace")
        begins = not groups or (text.startswith(" ") if spaced else _complete(groups[-1]))
        if not groups or (begins and any(char.isalnum() or char == "\ufffd" for char in text)):
            groups.append([token])
        else:
            groups[-1].append(token)

    words: list[Word] = []
    for group in groups:
        text = b"".join(token.text for token in group).decode(errors="ignore").strip()
        if not text:
            continue
        spoken = [token for token in group if any(byte >= ord("0") for byte in token.text)] or group
        previous_end = words[-1].end_ms if words else 0
        end = min(max(spoken[-1].end_ms, previous_end), duration_ms)
        start = max(previous_end, end - _LONGEST_WORD_MS - _LONGEST_LETTER_MS * len(text))
        confidence = float(np.mean([token.probability for token in spoken]))
        words.append(Word(text, start, end, min(max(confidence, 0.0), 1.0)))
    return tuple(words)


def _complete(group: Sequence[Token]) -> bool:
    try:
        b"".join(token.text for token in group).decode()
    except UnicodeDecodeError:
        return False
    return True
