"""Numbers as people say them and as engines write them."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Protocol


class HasNorm(Protocol):
    @property
    def norm(self) -> str: ...


def _numbered(text: str, start: int, step: int = 1) -> dict[str, int]:
    return {word: start + step * index for index, word in enumerate(text.split())}


_UNITS = _numbered(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
    0,
)
_TENS = _numbered("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10) | {"fourty": 40}
_SCALES = {"thousand": 1_000, "grand": 1_000, "k": 1_000, "million": 1_000_000, "m": 1_000_000, "billion": 10**9}
_ORDINALS = _numbered(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth",
    1,
) | {"thirtieth": 30}
NUMBER_WORDS = frozenset({*_UNITS, *_TENS, "hundred", "thousand", "million", "billion"})


def is_digits(word: str) -> bool:
    """True of 49, 1,200 and 49.99."""
    return word[:1].isascii() and word[:1].isdigit()


def read_number(words: Sequence[HasNorm], at: int) -> tuple[Decimal, int] | None:
    """The number that begins at ``words[at]``, and the index behind it: ``1,200``, ``two hundred and five``."""
    if at >= len(words):
        return None
    word = words[at].norm
    if is_digits(word):
        try:
            value = Decimal(word.replace(",", ""))
        except InvalidOperation:
            return None
        at += 1
        if at < len(words) and words[at].norm == "hundred":
            value, at = value * 100, at + 1
        while at < len(words) and words[at].norm in _SCALES:
            value, at = value * _SCALES[words[at].norm], at + 1
        return value, at
    if word == "a" and at + 1 < len(words) and words[at + 1].norm in ("hundred", "thousand", "million", "grand"):
        group, at = 1, at + 1
    else:
        small = _below_hundred(words, at)
        if small is None:
            return None
        group, at = small
    total = 0
    while at < len(words):
        word = words[at].norm
        if word == "hundred" and group < 100:
            group, at = group * 100, at + 1
            behind = at + 1 if at < len(words) and words[at].norm == "and" else at
            rest = _below_hundred(words, behind)
            if rest is not None:
                group, at = group + rest[0], rest[1]
        elif word in _SCALES and group:
            total, group, at = total + group * _SCALES[word], 0, at + 1
            behind = at + 1 if at < len(words) and words[at].norm == "and" else at
            rest = _below_hundred(words, behind)
            if rest is None:
                break
            group, at = rest
        else:
            break
    value = Decimal(total + group)
    if at + 1 < len(words) and words[at].norm == "point" and words[at + 1].norm in _UNITS:
        digits, at = "", at + 1
        while at < len(words) and _UNITS.get(words[at].norm, 10) < 10:
            digits, at = digits + str(_UNITS[words[at].norm]), at + 1
        value += Decimal(f"0.{digits or 0}")
        if at < len(words) and words[at].norm in _SCALES:
            value, at = value * _SCALES[words[at].norm], at + 1
    return value, at


def _below_hundred(words: Sequence[HasNorm], at: int) -> tuple[int, int] | None:
    if at >= len(words):
        return None
    word = words[at].norm
    if word in _TENS:
        if at + 1 < len(words) and 0 < _UNITS.get(words[at + 1].norm, 0) < 10:
            return _TENS[word] + _UNITS[words[at + 1].norm], at + 2
        return _TENS[word], at + 1
    if word in _UNITS:
        return _UNITS[word], at + 1
    return None


def read_ordinal(words: Sequence[HasNorm], at: int) -> tuple[int, int] | None:
    """The ordinal that begins at ``words[at]``, and the index behind it: ``3rd``, ``third``, ``twenty first``."""
    if at >= len(words):
        return None
    word = words[at].norm
    if is_digits(word) and word[-2:] in ("st", "nd", "rd", "th") and word[:-2].isdigit():
        return int(word[:-2]), at + 1
    if word in _ORDINALS:
        return _ORDINALS[word], at + 1
    if word in ("twenty", "thirty") and at + 1 < len(words):
        unit = _ORDINALS.get(words[at + 1].norm, 10)
        if unit < 10:
            return _TENS[word] + unit, at + 2
    return None
