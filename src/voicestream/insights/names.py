"""Finds names in an utterance, also where speech to text has split, joined or misheard them."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rapidfuzz.distance import OSA

from voicestream.insights.numbers import read_number
from voicestream.insights.tokens import Token, words_of
from voicestream.insights.vocabulary import COMMON, word_set

_SHORTEST = 6  # letters of a name that may be misheard; a shorter one is too near to ordinary words
# What stands beside a name that is an ordinary word too: "switch to Orange", "the Pro plan".
_CUES = word_set("to from with at than like called use uses using tried try joined joining competitor competitors by")
_NOUNS = word_set("plan plans package tier subscription edition bundle licence license offer option")


class NameHit(NamedTuple):
    """``words[first:behind]`` name ``key``."""

    first: int
    behind: int
    key: str
    confidence: float


class _Form(NamedTuple):
    words: tuple[str, ...]
    letters: str
    sound: str
    key: str
    plain: bool


class NameFinder:
    """Finds any of some names, each under a key.

    Args:
        names: pairs of a key and a form of its name; a key may have many forms.
    """

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        forms: dict[tuple[str, str], _Form] = {}
        for key, name in names:
            words = tuple(word for word in _spoken(words_of(name)) if word)
            letters = "".join(words)
            if letters:
                plain = len(words) == 1 and words[0] in COMMON
                forms.setdefault((key, letters), _Form(words, letters, _sound(letters), key, plain))
        self._forms = list(forms.values())
        self._exact: dict[str, list[_Form]] = {}
        for form in self._forms:
            self._exact.setdefault(form.letters, []).append(form)
        # Those that may be misheard, by the number of letters that was heard.
        self._near: dict[int, list[_Form]] = {}
        for form in self._forms:
            if len(form.letters) >= _SHORTEST and not form.plain:
                for length in range(len(form.letters) - 2, len(form.letters) + 3):
                    self._near.setdefault(length, []).append(form)
        self._most = max((len(form.letters) for form in self._forms), default=0) + 2
        self._longest = max((len(form.words) for form in self._forms), default=0) + 3  # a number may be four words

    def find(self, text: str, words: Sequence[Token]) -> list[NameHit]:
        """The names in ``text``, whose words are ``words``, from left to right, none overlapping another."""
        if not self._forms:
            return []
        spoken = _spoken(words)
        hits: list[NameHit] = []
        for first in range(len(words)):
            if not spoken[first]:
                continue
            for behind in range(first + 1, min(first + self._longest, len(words)) + 1):
                if words[behind - 1].norm in ".?":
                    break
                if behind < len(words) and not spoken[behind]:
                    continue  # amid a number
                letters = "".join(spoken[first:behind])
                if len(letters) > self._most:
                    break
                exact = self._exact.get(letters, ())
                for form in exact:
                    confidence = 0.97 if tuple(spoken[first:behind]) == form.words else 0.9
                    if form.plain:
                        confidence = self._plain(text, words, first)
                    if confidence:
                        hits.append(NameHit(first, behind, form.key, confidence))
                if not exact and len(letters) in self._near:
                    hits += self._misheard([*filter(None, spoken[first:behind])], letters, first, behind)
        return _best(hits)

    def _misheard(self, spoken: list[str], letters: str, first: int, behind: int) -> Iterable[NameHit]:
        for form in self._near[len(letters)]:
            distance = OSA.distance(letters, form.letters, score_cutoff=3)
            if distance > 3 or abs(len(form.words) - len(spoken)) > 1:
                continue
            allowed = 1 if len(form.letters) < 9 else 2
            alike = form.sound == _sound(letters)
            if distance > allowed + alike or _digits(letters) != _digits(form.letters):
                continue
            # Of two words, one at least must be right; what is wrong must not be an ordinary word of another sound.
            wrong = [word for word in spoken if word not in form.words]
            if len(spoken) > 1 and len(form.words) > 1 and len(wrong) == len(spoken):
                continue
            if all(word in COMMON for word in wrong) and (len(spoken) == 1 or not _like(wrong, form)):
                continue
            yield NameHit(first, behind, form.key, round(0.85 * (1 - distance / len(form.letters)), 3))

    @staticmethod
    def _plain(text: str, words: Sequence[Token], first: int) -> float:
        """Confidence that an ordinary word is a name here: 0 if nothing says so."""
        before = words[first - 1].norm if first else "."
        following = words[first + 1].norm if first + 1 < len(words) else "."
        if text[words[first].start].isupper() and before not in ".?":
            return 0.9
        return 0.65 if before in _CUES or following in _NOUNS else 0.0


def _like(wrong: list[str], form: _Form) -> bool:
    """True if each word of ``wrong`` sounds like a word of the name: "sitty" and "city"."""
    return all(any(_sound(word) == _sound(other) for other in form.words) for word in wrong)


def _best(hits: list[NameHit]) -> list[NameHit]:
    """The longest of the surest hits, none overlapping another, one place for one key."""
    chosen: list[NameHit] = []
    for hit in sorted(hits, key=lambda hit: (-round(hit.confidence, 1), hit.first - hit.behind, hit.first, hit.key)):
        if all(hit.behind <= other.first or hit.first >= other.behind for other in chosen):
            chosen.append(hit)
    return sorted(chosen)


def _spoken(words: Sequence[Token]) -> list[str]:
    """Normal words with their numbers as digits, so that "fiber five hundred" is "Fiber 500"."""
    spoken: list[str] = []
    at = 0
    while at < len(words):
        number = read_number(words, at)
        if number is None or number[0] != int(number[0]) or number[0] < 2:
            spoken.append(re.sub(r"\W", "", words[at].norm) or words[at].norm)
            at += 1
        else:
            # The words of one number keep their places, so that hits can be counted in words.
            spoken += [str(int(number[0])), *[""] * (number[1] - at - 1)]
            at = number[1]
    return spoken


def _digits(letters: str) -> str:
    return re.sub(r"\D", "", letters)


def _sound(letters: str) -> str:
    """A key that words of like sound share: voiced as voiceless, vowels as one, doubles as single."""
    text = letters.replace("ph", "f").replace("ck", "k").replace("wh", "w").replace("x", "ks").replace("gh", "g")
    text = re.sub(r"c(?=[eiy])", "s", text).translate(str.maketrans("cqzdbgv", "kkstpkf"))
    return re.sub(r"(.)\1+", r"\1", re.sub(r"[aeiouyhw]+", "a", text))
