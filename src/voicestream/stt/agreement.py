"""LocalAgreement-2: of the words of a growing piece of speech, those that can be shown before it has ended.

A model that hears a sentence half-way guesses how the last word ends, and thinks better of it a second later. What two
passes in a row have in common, from the beginning on, hardly changes any more: Macháček, Dabre and Bojar, "Turning
Whisper into Real-Time Transcription System" (2023), section 3.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from voicestream.stt.engine import Word

_EDGES = re.compile(r"^\W+|\W+$")


class Agreement:
    """The words of one utterance that two passes in a row had; they only ever become more."""

    def __init__(self) -> None:
        self.shown: tuple[Word, ...] = ()
        self._before: tuple[Word, ...] = ()

    def add(self, words: Sequence[Word]) -> bool:
        """Take the words of another pass, from the beginning of the utterance on; whether more can be shown now.

        Words are the same whatever their case and the punctuation around them, which a model changes as it hears how
        the sentence goes on; punctuation is shown if both passes have it.
        """
        pairs = takewhile(lambda pair: _plain(pair[0]) == _plain(pair[1]), zip(self._before, words, strict=False))
        self._before = tuple(words)
        more = self._behind_shown([_common(earlier, later) for earlier, later in pairs])
        self.shown += tuple(more)
        return bool(more)

    def _behind_shown(self, agreed: Sequence[Word]) -> Sequence[Word]:
        """Of words that two passes agree on, those behind what is shown.

        What is shown is not taken back. Where the passes have come to agree on something else, it goes on behind it.
        """
        shown = self.shown
        if all(_plain(mine) == _plain(theirs) for mine, theirs in zip(shown, agreed, strict=False)):
            return agreed[len(shown) :]
        end_ms = shown[-1].end_ms
        behind = [word for word in agreed if (word.start_ms + word.end_ms) / 2 >= end_ms]
        if behind and behind[0].start_ms < end_ms and _plain(behind[0]) == _plain(shown[-1]):
            return behind[1:]  # the word itself, told later than before
        return behind


def _plain(word: Word) -> str:
    return _EDGES.sub("", word.text).casefold() or word.text


def _common(earlier: Word, later: Word) -> Word:
    """The word as the later pass has it, less punctuation that only one of them has."""
    if earlier.text.casefold() == later.text.casefold():
        return later
    return replace(later, text=_EDGES.sub("", later.text))
