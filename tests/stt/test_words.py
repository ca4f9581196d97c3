"""Tokens to words."""

from hypothesis import given
from hypothesis import strategies as st

from voicestream.stt.whisper import Token, words_of

tokens = st.lists(
    st.builds(Token, st.binary(min_size=1, max_size=6), st.integers(-10, 9000), st.floats(0, 1)), max_size=20
)


def test_pieces_of_a_word_and_its_punctuation_are_joined() -> None:
    words = words_of([Token(b" Ameri", 800, 0.9), Token(b"cans", 1000, 0.7), Token(b".", 1100, 0.1)], 2000)
    assert [(word.text, word.end_ms, round(word.confidence, 3)) for word in words] == [("Americans.", 1000, 0.8)]


def test_a_pause_is_not_part_of_the_word_after_it() -> None:
    first, second = words_of([Token(b" yes", 500, 1), Token(b" no", 5000, 1)], 6000)
    assert (first.start_ms, first.end_ms) == (60, 500)
    assert (second.start_ms, second.end_ms) == (4640, 5000)


def test_characters_that_are_split_over_tokens_stay_whole() -> None:
    caf, rest = "é".encode()[:1], "é".encode()[1:]
    words = words_of([Token(b" caf" + caf, 100, 1), Token(rest, 200, 1), Token(b" noir", 300, 1)], 400)
    assert [word.text for word in words] == ["café", "noir"]


def test_scripts_without_spaces_are_cut_at_characters() -> None:
    character = "語".encode()
    parts = [Token("日本".encode(), 100, 1), Token(character[:2], 150, 1), Token(character[2:], 200, 1)]
    assert [word.text for word in words_of(parts, 400, spaced=False)] == ["日本", "語"]


@given(tokens, st.integers(0, 8000), st.booleans())
def test_times_are_in_order_within_the_clip_whatever_the_tokens(
    parts: list[Token], duration_ms: int, spaced: bool
) -> None:
    previous = 0
    for word in words_of(parts, duration_ms, spaced=spaced):
        assert word.text
        assert previous <= word.start_ms <= word.end_ms <= duration_ms
        assert 0 <= word.confidence <= 1
        previous = word.end_ms
