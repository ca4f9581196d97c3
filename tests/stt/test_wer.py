import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicestream.stt.wer import cardinal, normalise, word_error_rate


@pytest.mark.parametrize(
    ("reference", "hypothesis"),
    [
        ("forty nine dollars a month", "$49 a month."),
        ("It is forty-nine dollars and ninety nine cents", "It's $49.99"),
        ("three and a half percent", "three and a half %"),
        ("three point five percent", "3.5%"),
        ("one thousand two hundred fifty seats", "1,250 seats"),
        ("two and a half million", "two and a half million"),
        ("one point five million dollars", "$1.5 million"),
        ("in twenty twenty six", "In 2026"),
        ("at half past ten, ten thirty p.m.", "at half past 10, 10:30 PM"),
        ("at ten o'clock", "at 10 o'clock"),
        ("five five five one two three four", "555-1234"),
        ("zero four two", "042"),
        ("the twenty first", "the 21st"),
        ("I do not know and I will not ask", "I don't know, and I won't ask"),
        ("we are, they have, I am", "we're, they've, I'm"),
        ("what's that, it's John's", "What is that? It is Johns"),
        ("okay Mister Jones", "OK, Mr. Jones."),
        ("um, well, uh, yes", "Well, yes"),
        ("I am going to call", "I’m gonna call"),
    ],
)
def test_spelling_is_no_error(reference: str, hypothesis: str) -> None:
    assert word_error_rate([(reference, hypothesis)]) == 0


def test_errors_are_counted_over_the_words_of_all_references() -> None:
    assert word_error_rate([("a b c d", "a x c"), ("e f", "e f g")]) == pytest.approx(3 / 6)


def test_empty_texts() -> None:
    assert word_error_rate([]) == 0
    assert word_error_rate([("", "")]) == 0
    assert word_error_rate([("", "you")]) == float("inf")
    assert word_error_rate([("hello", "")]) == 1


def test_large_numbers() -> None:
    assert cardinal(0) == "zero"
    assert cardinal(1_203_045) == "one million two hundred three thousand forty five"
    assert cardinal(10**9) == "one billion"


@given(st.text())
def test_normal_text_is_normal_and_equals_itself(text: str) -> None:
    words = normalise(text)
    assert normalise(" ".join(words)) == words
    assert word_error_rate([(text, text)]) == 0
