"""Word error rate that forgives what is spelling and not hearing: case, punctuation, digits, contractions."""

import re
from collections.abc import Iterable
from typing import Final

from rapidfuzz.distance import Levenshtein

_UNITS: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS: Final = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES: Final = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS: Final = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_CURRENCIES: Final = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}

_WORDS: Final = {
    "ok": "okay",
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "cannot": "can not",
    "can't": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "let's": "let us",
    "%": "percent",
    "&": "and",
}
_HESITATIONS: Final = frozenset({"uh", "um", "uhm", "er", "erm", "hmm", "mm", "mhm", "ah"})
_ENDINGS: Final = {"n't": "not", "'re": "are", "'ve": "have", "'ll": "will", "'m": "am", "'d": "would"}
# After these 's is "is"; after a noun it is mostly the genitive, which stays.
_BEFORE_IS: Final = frozenset({"it", "that", "what", "there", "here", "he", "she", "who", "where", "how", "when"})
_NUMERALS: Final = frozenset((*_UNITS, *_TENS[1:]))
_BEFORE_AND: Final = frozenset({"hundred", "thousand", "million", "dollar", "dollars", "euros", "pounds"})

_NUMBER: Final = re.compile(
    r"(?P<currency>[$€£])?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<fraction>\d+))?(?P<ordinal>st|nd|rd|th)?"
    r"(?![\d])(?:\s+(?P<scale>hundred|thousand|million|billion)\b)?"
)
_WORD: Final = re.compile(r"[a-z]+(?:'[a-z]+)*|[%&]")


def cardinal(number: int) -> str:
    """The number in English words, as they are mostly spoken: "one hundred five", "two thousand twenty"."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens = _TENS[number // 10]
        return f"{tens} {_UNITS[number % 10]}" if number % 10 else tens
    scale, name = next((scale, name) for scale, name in _SCALES if number >= scale)
    rest = number % scale
    return f"{cardinal(number // scale)} {name}" + (f" {cardinal(rest)}" if rest else "")


def _ordinal(number: int) -> str:
    *others, last = cardinal(number).split()
    last = _ORDINALS.get(last) or (last.removesuffix("y") + "ieth" if last.endswith("y") else last + "th")
    return " ".join([*others, last])


def _spoken_number(match: re.Match[str]) -> str:
    whole, fraction, currency, scale = match["whole"], match["fraction"], match["currency"], match["scale"]
    number = int(whole.replace(",", ""))
    if (len(whole) > 6 and "," not in whole) or (whole.startswith("0") and len(whole) > 1):
        spoken = " ".join(_UNITS[int(digit)] for digit in whole)  # telephone and account numbers
    elif match["ordinal"]:
        spoken = _ordinal(number)
    elif not currency and len(whole) == 4 and (1100 <= number < 2000 or 2010 <= number < 2100) and number % 100:
        spoken = f"{cardinal(number // 100)} {cardinal(number % 100)}"  # years
    else:
        spoken = cardinal(number)
    if fraction and (not currency or scale):
        spoken += " point " + " ".join(_UNITS[int(digit)] for digit in fraction)
    if scale:
        spoken += f" {scale}"
    if currency:
        unit, hundredth = _CURRENCIES[currency]
        spoken += f" {unit}" if whole == "1" and not scale else f" {unit}s"
        if fraction and not scale and int(fraction):
            spoken += f" {cardinal(int(fraction.ljust(2, '0')[:2]))} {hundredth}s"
    return f" {spoken} "


def _expand(word: str) -> Iterable[str]:
    if word in _HESITATIONS:
        return ()
    if word in _WORDS:
        return _WORDS[word].split()
    for ending, meaning in _ENDINGS.items():
        if word.endswith(ending):
            return (*_expand(word.removesuffix(ending)), meaning)
    if word.endswith("'s") and word[:-2] in _BEFORE_IS:
        return (word[:-2], "is")
    return (word.replace("'", ""),)


def normalise(text: str) -> list[str]:
    """The words of English text: lower case, no punctuation, numbers and contractions written out, no hesitations."""
    text = text.lower().replace("’", "'")
    text = re.sub(r"\b([ap])\.m\b\.?", r"\1m", text)
    text = re.sub(r"(\d)\s*([ap])m\b", r"\1 \2m", text)
    text = re.sub(r"(\d):(\d\d)", lambda m: m[1] if m[2] == "00" else f"{m[1]} {m[2]}", text)
    text = re.sub(r"\b(\d{3})-(\d{3}-)?(\d{4})\b", lambda m: " ".join(re.sub(r"\D", "", m[0])), text)
    text = _NUMBER.sub(_spoken_number, text)
    words = [part for word in _WORD.findall(text) for part in _expand(word)]
    # "one hundred and five", "two dollars and ten cents"
    return [
        word
        for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False)
        if not (word == "and" and before in _BEFORE_AND and after in _NUMERALS)
    ]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Substituted, missing and extra words over the words of the references, over all (reference, hypothesis) pairs.

    0 when the references hold no word and the hypotheses neither, infinite when only the hypotheses do.
    """
    errors = words = 0
    for reference, hypothesis in pairs:
        expected = normalise(reference)
        errors += Levenshtein.distance(expected, normalise(hypothesis))
        words += len(expected)
    if words == 0:
        return float("inf") if errors else 0.0
    return errors / words
