"""What may be shown of the words of a sentence that goes on."""

from hypothesis import given
from hypothesis import strategies as st

from voicestream.stt.agreement import Agreement
from voicestream.stt.engine import Word

ALPHABET = ["and", "And", "so,", "so", "my", "my.", "fellow", "$400", "400", "-", "…"]


def heard(text: str, pace_ms: int = 300) -> list[Word]:
    """The words of a pass, one after the other."""
    return [Word(word, n * pace_ms, (n + 1) * pace_ms, 0.9) for n, word in enumerate(text.split())]


def shown(*passes: str) -> list[str]:
    """What is shown after each pass."""
    agreement, texts = Agreement(), []
    for words in passes:
        agreement.add(heard(words))
        texts.append(" ".join(word.text for word in agreement.shown))
    return texts


def letters(word: str) -> str:
    return "".join(char for char in word.casefold() if char.isalnum()) or word


def test_what_two_passes_agree_on_is_shown() -> None:
    assert shown("and so my feller", "and so my fellow Amerika", "and so my fellow Americans ask") == [
        "",
        "and so my",
        "and so my fellow",
    ]


def test_punctuation_is_shown_if_both_passes_have_it_and_case_is_that_of_the_later() -> None:
    assert shown("I lost 400.", "i lost, $400, because") == ["", "i lost 400"]


def test_what_was_shown_stays_and_goes_on_where_the_passes_agree_anew() -> None:
    first, second = "I want too", "I want to go home"
    assert shown(first, first, second, second) == ["", first, first, "I want too go home"]


def test_a_pass_that_hears_nothing_takes_nothing_back() -> None:
    assert shown("one two", "one two three", "", "one two three", "one two three four") == [
        "",
        "one two",
        "one two",
        "one two",
        "one two three",
    ]


def test_a_word_that_the_passes_tell_later_than_before_is_not_shown_twice() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.add([Word("Oh", 0, 200, 0.9), Word("go", 200, 400, 0.9)])
    for _ in range(2):
        agreement.add([Word("Ah", 0, 200, 0.9), Word("go", 350, 600, 0.9), Word("home", 600, 900, 0.9)])
    assert [word.text for word in agreement.shown] == ["Oh", "go", "home"]


passes = st.lists(
    st.tuples(st.lists(st.sampled_from(ALPHABET), max_size=8), st.integers(100, 500)), min_size=1, max_size=8
)


@given(passes)
def test_the_shown_words_only_become_more_and_two_passes_had_each(spoken: list[tuple[list[str], int]]) -> None:
    agreement, before = Agreement(), ""
    previous: list[str] = []
    for words, pace_ms in spoken:
        count = len(agreement.shown)
        more = agreement.add(heard(" ".join(words), pace_ms))
        text = " ".join(word.text for word in agreement.shown)
        assert text.startswith(before)
        assert more == (len(agreement.shown) > count)
        for word in agreement.shown[count:]:
            assert any(
                letters(word.text) == letters(earlier) == letters(later)
                and word.text.casefold() in earlier.casefold()
                and word.text in later
                for earlier, later in zip(previous, words, strict=False)
            )
        previous, before = words, text


@given(st.lists(st.sampled_from(ALPHABET), max_size=20), st.data())
def test_a_sentence_that_is_always_heard_alike_is_shown_as_far_as_it_was_heard_twice(
    words: list[str], data: st.DataObject
) -> None:
    lengths = sorted(data.draw(st.lists(st.integers(0, len(words)), min_size=2, max_size=6)))
    texts = shown(*(" ".join(words[:length]) for length in lengths))
    assert texts == ["", *(" ".join(words[:length]) for length in lengths[:-1])]
