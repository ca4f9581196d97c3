"""The notation of phrases, made into patterns; ``phrases/README.md`` describes it."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from voicestream.insights.numbers import NUMBER_WORDS
from voicestream.insights.sentence import Sentence
from voicestream.insights.tokens import expand_words, is_soft
from voicestream.yaml_file import unknown

_PART = re.compile(r"\s+|\)\?|[()|]|\.\.\.\d*|<\w+>|[\w']+\*?|.")
_FRONT = "(?<= )"


class Need(NamedTuple):
    """One of these words, or one of these beginnings of words, must be there for a phrase to be worth a look."""

    words: frozenset[str]
    beginnings: tuple[str, ...] = ()

    def begins_in(self, sentence: Sentence) -> bool:
        return any(part in sentence.line for part in self.beginnings)

    def size(self) -> int:
        return len(self.words) + 4 * len(self.beginnings)


class Piece(NamedTuple):
    """A part of a phrase as a regular expression, with what it cannot do without."""

    regex: str
    needs: tuple[Need, ...] = ()


class Pattern(NamedTuple):
    """A phrase ready to be searched for in the line of a sentence."""

    regex: re.Pattern[str]
    needs: tuple[Need, ...]
    confidence: float

    def possible_in(self, sentence: Sentence) -> bool:
        """False if a word is missing that the pattern cannot do without; much faster than to search."""
        for need in self.needs:
            if need.words.isdisjoint(sentence.vocabulary) and not need.begins_in(sentence):
                return False
        return True


class PatternIndex:
    """Patterns in their order, found by a word that they cannot do without."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._by_word: dict[str, list[int]] = {}
        self._unbound: list[int] = []
        for number, pattern in enumerate(patterns):
            rarest = pattern.needs[0] if pattern.needs else None
            if rarest is None or rarest.beginnings:
                self._unbound.append(number)
            else:
                for word in rarest.words:
                    self._by_word.setdefault(word, []).append(number)

    def possible_in(self, sentence: Sentence) -> list[Pattern]:
        """The patterns that are worth a search in ``sentence``."""
        numbers = set(self._unbound)
        for word in sentence.vocabulary:
            numbers.update(self._by_word.get(word, ()))
        patterns = (self._patterns[number] for number in sorted(numbers))
        return [pattern for pattern in patterns if pattern.possible_in(sentence)]


def compile_phrase(phrase: str, confidence: float, macros: dict[str, Piece]) -> Pattern:
    """The pattern of one phrase.

    Raises:
        ValueError: the phrase is not well written.
    """
    piece = read_phrase(phrase, macros)
    needs = tuple(sorted(piece.needs, key=Need.size))
    return Pattern(re.compile(_FRONT + piece.regex), needs, confidence)


def read_phrase(phrase: str, macros: dict[str, Piece]) -> Piece:
    """The phrase as a piece of a larger one; raises ValueError as `compile_phrase` does."""
    parts = [part for part in _PART.findall(phrase) if not part.isspace()]
    piece, behind = _read_row(parts, 0, macros)
    if behind < len(parts):
        if parts[behind] == "|":
            raise ValueError("put alternatives in brackets: (this|that)")
        raise ValueError("a ')' has no '('")
    return piece


def _read_row(parts: Sequence[str], at: int, macros: dict[str, Piece]) -> tuple[Piece, int]:
    """The words from ``parts[at]`` to the end, or to a ``|`` or ``)`` that is not theirs."""
    regex: list[str] = []
    needs: list[Need] = []
    while at < len(parts) and parts[at] not in ("|", ")", ")?"):
        part = parts[at]
        if part == "(":
            piece, at = _read_choice(parts, at + 1, macros)
        else:
            piece, at = _read_word(part, macros), at + 1
        regex.append(piece.regex)
        needs += piece.needs
    return Piece("".join(regex), tuple(needs)), at


def _read_choice(parts: Sequence[str], at: int, macros: dict[str, Piece]) -> tuple[Piece, int]:
    """The alternatives from behind a ``(`` to its ``)`` or ``)?``."""
    rows: list[Piece] = []
    while True:
        row, at = _read_row(parts, at, macros)
        rows.append(row)
        if at >= len(parts):
            raise ValueError("a '(' has no ')'")
        closing = parts[at]
        at += 1
        if closing != "|":
            break
    regex = f"(?:{'|'.join(row.regex for row in rows)})"
    if closing == ")?":
        return Piece(f"{regex}?"), at
    if not all(row.needs for row in rows):
        return Piece(regex), at
    least = [min(row.needs, key=Need.size) for row in rows]
    words = frozenset().union(*(need.words for need in least))
    return Piece(regex, (Need(words, tuple(part for need in least for part in need.beginnings)),)), at


def _read_word(part: str, macros: dict[str, Piece]) -> Piece:
    if part.startswith("..."):
        return Piece(f"(?:(?!(?:not|no|never) )[^ .?]+ ){{0,{part[3:] or 3}}}?")
    if part.startswith("<"):
        if part not in macros:
            raise ValueError(unknown(part, macros))
        return macros[part]
    if not re.fullmatch(r"[\w']+\*?", part):
        raise ValueError(f"'{part}' means nothing here; see phrases/README.md")
    if part.endswith("*"):
        beginning = part[:-1].lower()
        return Piece(rf"{re.escape(beginning)}\w* ", (Need(frozenset(), (f" {beginning}",)),))
    words = expand_words(part).split()
    for word in words:
        if is_soft(word):
            raise ValueError(f"'{word}' is never seen, for it is left out of utterances; leave it out here")
    return Piece("".join(f"{re.escape(word)} " for word in words), tuple(Need(frozenset({word})) for word in words))


BUILT_IN = {
    "<money>": Piece("<money> ", (Need(frozenset({"<money>"})),)),
    "<number>": Piece(rf"(?:\d\S*|{'|'.join(sorted(NUMBER_WORDS))}) "),
    "<start>": Piece(r"(?:(?<=^ )|(?<=[.?] ))"),
    "<end>": Piece(r"(?=[.?] |$)"),
}
