"""An utterance as normal words, each with the characters that it was written with."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from voicestream.insights.numbers import NUMBER_WORDS, is_digits
from voicestream.insights.vocabulary import word_set


class Token(NamedTuple):
    """A normal word; ``start`` and ``end`` are its characters in the text.

    ``pause`` is true behind a comma or a dash. A sentence ends with a token ``.`` or ``?``.
    """

    norm: str
    start: int
    end: int
    pause: bool = False


_PIECE = re.compile(
    r"\d+(?:st|nd|rd|th)\b|\b[ap]\.\s?m\b\.?|\d+(?:[.,:]\d+)*|e-mails?\b|[^\W\d_]+(?:['’`][^\W\d_]+)*|[$€£%]|[.?!;…]|[,:–—]|(?<!\w)-|-(?!\w)",
    re.IGNORECASE,
)
_DISFLUENT = word_set("um uh uhm umm uhh er erm hm hmm mm mhm ah eh")
# Words that change the force of a sentence and not its meaning: patterns need not think of them.
_SOFT = word_set(
    "just really actually basically honestly literally simply definitely certainly probably also please kindly still "
    "even already then very quite pretty extremely super totally completely absolutely frankly obviously"
)
_SPELLINGS = {
    "dont": "do not", "doesnt": "does not", "didnt": "did not", "cant": "can not", "cannot": "can not",
    "wont": "will not", "won't": "will not", "can't": "can not", "shan't": "shall not", "ain't": "is not",
    "isnt": "is not", "arent": "are not", "wasnt": "was not", "werent": "were not", "havent": "have not",
    "hasnt": "has not", "hadnt": "had not", "wouldnt": "would not", "couldnt": "could not", "shouldnt": "should not",
    "im": "i am", "ive": "i have", "ill": "i will", "youre": "you are", "youll": "you will", "youve": "you have",
    "theyre": "they are", "theyll": "they will", "weve": "we have", "thats": "that is", "whats": "what is",
    "hows": "how is", "wheres": "where is", "theres": "there is", "its": "it is", "lets": "let us", "let's": "let us",
    "gonna": "going to", "wanna": "want to", "gotta": "got to", "gimme": "give me", "lemme": "let me",
    "yeah": "yes", "yep": "yes", "yup": "yes", "nope": "no", "nah": "no", "ok": "okay", "e-mail": "email",
    "e-mails": "emails", "o'clock": "oclock", "%": "percent",
}  # fmt: skip
_IS = word_set("it that what who where when how why here there he she this everything nothing")
_ENDINGS = {"n't": "not", "'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would"}


def _expand(word: str) -> str:
    """The normal words of one written word, separated by spaces."""
    word = word.lower().replace("’", "'").replace("`", "'")
    if word[:2] in ("a.", "p."):
        return f"{word[0]}m"
    if word in _SPELLINGS:
        return _SPELLINGS[word]
    if "'" in word:
        for ending, full in _ENDINGS.items():
            if word.endswith(ending):
                return f"{word.removesuffix(ending)} {full}"
        stem = word.removesuffix("'s")
        if stem != word:
            return f"{stem} is" if stem in _IS else stem
    return word


def expand_words(phrase: str) -> str:
    """``phrase`` with its contractions written out, as utterances are."""
    return " ".join(_expand(word) for word in phrase.split())


def is_soft(word: str) -> bool:
    """True of the words that `firm_words` leaves out wherever they stand."""
    return word in _SOFT or word in _DISFLUENT


def _read(text: str) -> Iterator[Token]:
    pause = False
    for piece in _PIECE.finditer(text):
        start, end = piece.span()
        written = piece.group()
        if written in ",:–—-":
            pause = True
            continue
        if written in ".!;…?":
            yield Token("?" if written == "?" else ".", start, end)
            pause = False
            continue
        if written.lower() in _DISFLUENT:
            continue
        for norm in _expand(written).split():
            yield Token(norm, start, end, pause)
            pause = False


@lru_cache(maxsize=512)
def words_of(text: str) -> tuple[Token, ...]:
    """Every word of ``text`` but for hesitations, in order."""
    tokens: list[Token] = []
    for token in _read(text):
        # "id" is a document, save in front of a wish.
        if tokens and tokens[-1].norm == "id" and token.norm in ("like", "love", "rather", "prefer"):
            tokens[-1:] = [tokens[-1]._replace(norm="i"), tokens[-1]._replace(norm="would", pause=False)]
        tokens.append(token)
    return tuple(tokens)


def firm_words(words: tuple[Token, ...]) -> list[Token]:
    """``words`` without soft words, fillers between pauses and stammers."""
    kept: list[Token] = []
    index = 0
    while index < len(words):
        token = words[index]
        following = words[index + 1] if index + 1 < len(words) else None
        if following and (token.norm, following.norm) in (("you", "know"), ("i", "mean")):
            behind = words[index + 2] if index + 2 < len(words) else None
            if behind is not None and behind.pause and (token.pause or index == 0):
                index += 2
                continue
        index += 1
        if token.norm in _SOFT:
            continue
        counted = token.norm in NUMBER_WORDS or is_digits(token.norm)
        if kept and kept[-1].norm == token.norm and not counted:
            continue
        kept.append(token)
        # "I want, I want to" is one wish.
        if len(kept) >= 4 and not counted and _same(kept[-4:-2], kept[-2:]) and kept[-1].norm not in ".?":
            del kept[-2:]
    return kept


def _same(left: list[Token], right: list[Token]) -> bool:
    return [token.norm for token in left] == [token.norm for token in right]
