"""Guards against what Whisper makes up: words on silence, loops, and notes on noises.

Whisper was trained on subtitles and always has something to say. What speaks against a recognition is its own
estimate that there is no speech, the level of the clip, and the shape of the text; never one weak sign alone, since a
real "thank you" must pass.
"""

import math
import re
import zlib
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from voicestream.stt.engine import Clip, Recognition, Word

Reason = Literal["silence", "no speech", "phrase on silence", "loop", "too many words", "noise note"]

_SILENT_DBFS: Final = -60.0
_QUIET_DBFS: Final = -45.0
_FRAME_MS: Final = 30
_NO_SPEECH: Final = 0.6  # with a poor confidence, as in openai/whisper, transcribe.py
_PERHAPS_NO_SPEECH: Final = 0.3
_POOR_CONFIDENCE: Final = 0.45
_WORDS_PER_S: Final = 8.0  # twice a fast talker
_WORDS_MARGIN: Final = 3
_LONGEST_LOOP: Final = 10  # words
_MAX_COPIES: Final = {1: 7}  # an angry "no, no, no, no" is real
_MAX_COPIES_OF_PHRASE: Final = 3
_COMPRESSION_RATIO: Final = 2.4  # openai/whisper, transcribe.py

_PHRASES: Final = frozenset(
    """you|thank you|thanks|thank you very much|thank you so much|thanks for watching|thank you for watching
    thank you for watching and i'll see you next time|please subscribe|subscribe|like and subscribe|bye|bye bye|goodbye
    okay|so|oh|uh|um|hmm|the|i|yeah|i'm sorry|i don't know|the end|we'll be right back|see you next time|see you later
    i'm not going to be able to do that|i'm going to go ahead and do that|i'll see you in the next video
    subtitles by the amara.org community|transcription by castingwords""".replace("\n    ", "|").split("|")
)
_NOTE: Final = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]+\*|<\|[^|]*\|>|[♪♫]+")


@dataclass(frozen=True, slots=True)
class Guarded:
    """A recognition after the guards, and why text was taken from it, if any was."""

    recognition: Recognition
    reason: Reason | None = None


def guard(recognition: Recognition, clip: Clip) -> Guarded:
    """The recognition without what was made up: without notes and repeats, or with no text at all."""
    if not recognition.text:
        return Guarded(recognition)
    cleaned, reason = _without_notes(recognition)
    if not any(char.isalnum() for char in cleaned.text):
        return Guarded(_with_words(cleaned, ()), reason or "no speech")

    level = loudest_dbfs(clip)
    no_speech, poor = cleaned.no_speech_probability, cleaned.confidence < _POOR_CONFIDENCE
    doubtful = level < _QUIET_DBFS or no_speech > _PERHAPS_NO_SPEECH or poor
    if level < _SILENT_DBFS:
        return Guarded(_with_words(cleaned, ()), "silence")
    if no_speech > _NO_SPEECH and poor:
        return Guarded(_with_words(cleaned, ()), "no speech")
    if doubtful and _plain(cleaned.text) in _PHRASES:
        return Guarded(_with_words(cleaned, ()), "phrase on silence")
    if len(cleaned.words) > _WORDS_MARGIN + _WORDS_PER_S * clip.duration_ms / 1000:
        return Guarded(_with_words(cleaned, ()), "too many words")

    unlooped = _without_loops(cleaned.words)
    if len(unlooped) < len(cleaned.words):
        # Words that are repeated get sure of themselves: where there is no speech, that is no sign of any.
        return Guarded(_with_words(cleaned, () if no_speech > _NO_SPEECH else unlooped), "loop")
    if compression_ratio(cleaned.text) > _COMPRESSION_RATIO:
        return Guarded(_with_words(cleaned, ()), "loop")
    return Guarded(cleaned, reason)


def loudest_dbfs(clip: Clip) -> float:
    """Level of the loudest 30 ms in decibels below full scale; -120 for digital silence."""
    frame = clip.sample_rate * _FRAME_MS // 1000
    count = max(len(clip.pcm) // frame, 1)
    samples = np.resize(clip.pcm, count * frame) if len(clip.pcm) else np.zeros(frame, np.int16)
    frames = samples.astype(np.float64).reshape(count, frame) / 32768
    power = float((frames**2).mean(axis=1).max())
    return 10 * math.log10(max(power, 1e-12))


def compression_ratio(text: str) -> float:
    """Bytes of the text over its bytes compressed by zlib; above 2.4 the text repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _plain(text: str) -> str:
    return re.sub(r"[^\w' .]", "", text.lower()).strip(" .")


def _with_words(recognition: Recognition, words: tuple[Word, ...]) -> Recognition:
    confidence = float(np.mean([word.confidence for word in words])) if words else 0.0
    return replace(recognition, text=" ".join(word.text for word in words), words=words, confidence=confidence)


def _without_notes(recognition: Recognition) -> tuple[Recognition, Reason | None]:
    """Drop what stands in brackets or between asterisks, as in "[BLANK_AUDIO]" and "(music)", and notes of music."""
    joined = " ".join(word.text for word in recognition.words)
    spans = [match.span() for match in _NOTE.finditer(joined)]
    if not spans:
        return recognition, None
    kept = []
    at = 0
    for word in recognition.words:
        inside = any(start < at + len(word.text) and at < end for start, end in spans)
        if not inside:
            kept.append(word)
        at += len(word.text) + 1
    return _with_words(recognition, tuple(kept)), "noise note"


def _without_loops(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Of phrases that come too often in a row, the first copy."""
    plain = [_plain(word.text) for word in words]
    kept: list[Word] = []
    at = 0
    while at < len(words):
        for length in range(1, _LONGEST_LOOP + 1):
            phrase = plain[at : at + length]
            copies = 1
            while plain[at + copies * length : at + (copies + 1) * length] == phrase:
                copies += 1
            if len(phrase) == length and copies > _MAX_COPIES.get(length, _MAX_COPIES_OF_PHRASE):
                kept += words[at : at + length]
                at += copies * length
                break
        else:
            kept.append(words[at])
            at += 1
    return tuple(kept)
