import numpy as np
import pytest

from voicestream.stt.engine import Clip, Recognition, Word
from voicestream.stt.guards import compression_ratio, guard, loudest_dbfs


def heard(text: str, *, confidence: float = 0.9, no_speech: float = 0.05) -> Recognition:
    words = tuple(Word(word, i * 200, i * 200 + 200, confidence) for i, word in enumerate(text.split()))
    return Recognition(text, words, confidence if words else 0.0, no_speech, "en", 1.0)


def clip(*, seconds: float = 6, level: float = 3000) -> Clip:
    return Clip(np.random.default_rng(0).normal(0, level, int(seconds * 8000)).astype(np.int16), 8000, "en")


@pytest.mark.parametrize(
    "text",
    [
        "Thank you.",
        "You know, I was thinking about the price.",
        "No, no, no, no, that is not what I asked for.",
        "Yeah, yeah. Bye bye, bye bye.",
        "It's $49.99 a month (that is what you said).".replace("(", "").replace(")", ""),
    ],
)
def test_what_was_really_said_passes_unchanged(text: str) -> None:
    recognition = heard(text)
    guarded = guard(recognition, clip())
    assert guarded.recognition is recognition
    assert guarded.reason is None


@pytest.mark.parametrize(
    ("recognition", "audio", "reason"),
    [
        (heard("Hello there."), clip(level=5), "silence"),
        (heard("I'm so", confidence=0.2, no_speech=0.95), clip(), "no speech"),
        (heard(". . .", no_speech=0.9), clip(), "no speech"),
        (heard("Thank you."), clip(level=30), "phrase on silence"),
        (heard("Thanks for watching!", no_speech=0.5), clip(), "phrase on silence"),
        (heard("you", confidence=0.3), clip(), "phrase on silence"),
        (heard("one two three four five six seven"), clip(seconds=0.3), "too many words"),
        (heard("[BLANK_AUDIO]"), clip(), "noise note"),
        (heard("(phone rings)"), clip(), "noise note"),
        (heard("*laughs* ♪♪"), clip(), "noise note"),
        (heard("I'm like, " * 10, confidence=0.65, no_speech=0.95), clip(), "loop"),
        (heard("abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"), clip(), "loop"),
    ],
)
def test_what_was_made_up_is_taken_away_for_a_reason(recognition: Recognition, audio: Clip, reason: str) -> None:
    guarded = guard(recognition, audio)
    assert guarded.reason == reason
    assert guarded.recognition.text == ""
    assert guarded.recognition.words == ()
    assert guarded.recognition.confidence == 0


def test_of_a_loop_the_first_copy_is_kept() -> None:
    guarded = guard(heard("I said " + "I want to cancel, " * 6 + "okay"), clip(seconds=12))
    assert guarded.reason == "loop"
    assert guarded.recognition.text == "I said I want to cancel, okay"


def test_notes_are_cut_out_of_speech() -> None:
    guarded = guard(heard("Well (coughs loudly) I will think about it. [MUSIC]"), clip())
    assert guarded.reason == "noise note"
    assert guarded.recognition.text == "Well I will think about it."
    assert len(guarded.recognition.words) == 6


def test_no_text_needs_no_reason() -> None:
    assert guard(heard(""), clip()).reason is None


def test_level_is_that_of_the_loudest_moment() -> None:
    pcm = np.zeros(8000, np.int16)
    assert loudest_dbfs(Clip(pcm, 8000)) == -120
    assert loudest_dbfs(Clip(pcm[:0], 8000)) == -120
    pcm[4080:4320] = 16384
    assert loudest_dbfs(Clip(pcm, 8000)) == pytest.approx(-6.02, abs=0.01)


def test_text_that_repeats_itself_compresses_well() -> None:
    assert compression_ratio("the quick brown fox jumps over the lazy dog") < 1.2
    assert compression_ratio("ha" * 50) > 5
