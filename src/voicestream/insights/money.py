"""Amounts of money and percentages, written or spoken."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from voicestream.insights.numbers import is_digits, read_number
from voicestream.insights.tokens import Token
from voicestream.insights.vocabulary import word_set


class Amount(NamedTuple):
    """``words[first:behind]`` is an amount; ``value`` is such as ``49.00 USD`` or ``20%``."""

    first: int
    behind: int
    value: str
    confidence: float


_SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP"}
_CURRENCIES = {
    "dollar": "USD", "dollars": "USD", "buck": "USD", "bucks": "USD", "usd": "USD",
    "euro": "EUR", "euros": "EUR", "eur": "EUR", "pound": "GBP", "pounds": "GBP", "quid": "GBP", "gbp": "GBP",
}  # fmt: skip
_CENTS = frozenset({"cent", "cents"})
_PER = frozenset({"a", "per", "each", "every"})
_PERIODS = word_set("month year week day user seat person head line license licence hour minute unit")
_LARGEST = Decimal(10) ** 12


def amounts_in(words: Sequence[Token]) -> list[Amount]:
    """The sums of money in ``words``, from left to right."""
    found: list[Amount] = []
    at = 0
    while at < len(words):
        amount = _amount_at(words, at)
        if amount is None:
            at += 1
        else:
            found.append(amount)
            at = amount.behind
    return found


def percentages_in(words: Sequence[Token]) -> list[Amount]:
    """The percentages in ``words``, from left to right."""
    found = []
    at = 0
    while at < len(words):
        number = read_number(words, at)
        if number is None:
            at += 1
            continue
        value, behind = number
        if _norm(words, behind) == "percent":
            found.append(Amount(at, behind + 1, f"{value.normalize():f}%", 0.95))
            behind += 1
        elif (_norm(words, behind), _norm(words, behind + 1)) == ("per", "cent"):
            found.append(Amount(at, behind + 2, f"{value.normalize():f}%", 0.95))
            behind += 2
        at = behind
    return found


def _amount_at(words: Sequence[Token], at: int) -> Amount | None:
    currency = _SYMBOLS.get(words[at].norm)
    if currency:
        number = read_number(words, at + 1)
        # A symbol belongs to the digits that touch it, with no more than a space between.
        if number is None or words[at + 1].start - words[at].end > 1:
            return None
        value, behind = number
        if _norm(words, behind) in _CURRENCIES:
            behind += 1
        return _money(at, behind, value, currency, 0.98)
    number = read_number(words, at)
    if number is None:
        return None
    value, behind = number
    unit = _norm(words, behind)
    if unit in _CURRENCIES:
        cents, behind = _cents_behind(words, behind + 1)
        return _money(at, behind, value + cents, _CURRENCIES[unit], 0.95)
    if unit in _SYMBOLS:
        return _money(at, behind + 1, value, _SYMBOLS[unit], 0.9)
    if unit in _CENTS and value < 100:
        return _money(at, behind + 1, value / 100, "USD", 0.85)
    # "forty nine ninety nine a month": a price as it stands on a tag.
    tag = read_number(words, behind)
    if tag is not None and value < 1000 and 10 <= tag[0] <= 99 and not is_digits(words[at].norm):
        unit = _norm(words, tag[1])
        if unit in _CURRENCIES:
            return _money(at, tag[1] + 1, value + tag[0] / 100, _CURRENCIES[unit], 0.85)
        if _is_rate(words, tag[1]):
            # "forty nine ninety nine a month" has cents, "two forty a month" has hundreds.
            price = value * 100 + tag[0] if value < 10 else value + tag[0] / 100
            return _money(at, tag[1], price, "USD", 0.8)
    if _is_rate(words, behind) and value >= 5:
        return _money(at, behind, value, "USD", 0.65)
    return None


def _cents_behind(words: Sequence[Token], at: int) -> tuple[Decimal, int]:
    """The cents behind an amount of dollars: ``and ninety nine cents``, or the bare ``ninety nine``."""
    joined = _norm(words, at) == "and"
    number = read_number(words, at + joined)
    if number is None or number[0] >= 100:
        return Decimal(0), at
    value, behind = number
    if _norm(words, behind) in _CENTS:
        return value / 100, behind + 1
    bare = not joined and value >= 10 and value == int(value)
    if bare and (behind == len(words) or words[behind].norm in ".?" or _is_rate(words, behind)):
        return value / 100, behind
    return Decimal(0), at


def _is_rate(words: Sequence[Token], at: int) -> bool:
    return _norm(words, at) in _PER and _norm(words, at + 1) in _PERIODS


def _norm(words: Sequence[Token], at: int) -> str:
    return words[at].norm if at < len(words) else ""


def _money(first: int, behind: int, value: Decimal, currency: str, confidence: float) -> Amount | None:
    if value >= _LARGEST:
        return None
    return Amount(first, behind, f"{value:.2f} {currency}", confidence)
