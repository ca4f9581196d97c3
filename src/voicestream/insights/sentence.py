"""An utterance as a line of normal words to search for phrases, and what a negation in it reaches."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from voicestream.insights.money import amounts_in
from voicestream.insights.tokens import Token, firm_words, words_of
from voicestream.insights.vocabulary import word_set


class Sentence:
    """The firm words of a text as one line to search in, each sum of money as the word ``<money>``."""

    def __init__(self, text: str) -> None:
        self.tokens = self._with_money(firm_words(words_of(text)))
        self.line = " ".join(["", *(token.norm for token in self.tokens), ""])
        self.vocabulary = frozenset(token.norm for token in self.tokens)
        self._starts: list[int] = []
        offset = 1
        for token in self.tokens:
            self._starts.append(offset)
            offset += len(token.norm) + 1

    @staticmethod
    def _with_money(words: list[Token]) -> list[Token]:
        for amount in reversed(amounts_in(words)):
            first, last = words[amount.first], words[amount.behind - 1]
            words[amount.first : amount.behind] = [Token("<money>", first.start, last.end, first.pause)]
        return words

    def tokens_of(self, match: re.Match[str]) -> tuple[int, int]:
        """First token of ``match``, and the one behind its last."""
        return bisect_left(self._starts, match.start()), bisect_left(self._starts, match.end())


@lru_cache(maxsize=512)
def sentence_of(text: str) -> Sentence:
    """The sentence of ``text``, kept for the extractors that follow."""
    return Sentence(text)


_NEGATORS = word_set("not never no without hardly nobody neither nor none")
# Behind these a "not" denies nothing of what follows: "not only is it expensive", "I am not sure, it is expensive".
_EMPTY_NEGATIONS = word_set("only sure matter doubt wonder problem worries")
_CLAUSE_ENDS = word_set(". ? but because since although though so and if unless or while until")
_SUBJECTS = word_set("i we you they it he she that this")
_OPINIONS = word_set("think say saying believe feel find mean suppose thinking expect")
_SCOPE = 6


def is_negated(tokens: Sequence[Token], at: int) -> bool:
    """True if a negation before ``tokens[at]``, in the same clause, reaches it: ``I am not going to [cancel]``."""
    subject_between = tokens[at].norm in _SUBJECTS
    opinion_between = False
    for index in range(at - 1, max(at - 1 - _SCOPE, -1), -1):
        word = tokens[index].norm
        following = tokens[index + 1].norm if index + 1 < len(tokens) else ""
        if word in _CLAUSE_ENDS:
            return False
        if word in _NEGATORS:
            if following in _EMPTY_NEGATIONS and (index + 1 < at or following == "only"):
                return False
            # "No, it is too expensive": an answer, not a negation.
            if word == "no" and (following in _SUBJECTS or tokens[index + 1].pause):
                return False
            return not subject_between or opinion_between
        if tokens[index + 1].pause and index + 1 <= at and not opinion_between:
            return False
        subject_between = subject_between or word in _SUBJECTS
        opinion_between = opinion_between or word in _OPINIONS
    return False
