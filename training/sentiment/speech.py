"""Make a written sentence look spoken: no punctuation, fillers, a restart, a word that the recogniser dropped."""

import random
import re

_PUNCTUATION = re.compile(r"[^\w\s']|_")
_FILLERS = ("uh", "um", "I mean", "you know", "well", "so", "like", "okay so", "yeah", "look", "honestly", "right")


def unpunctuated(text: str) -> str:
    """The text without punctuation, or as it was where nothing would be left."""
    return " ".join(_PUNCTUATION.sub(" ", text).split()) or text


def as_spoken(text: str, chance: random.Random) -> str:
    """A variant of the text with the same mood; about four in ten come back as they were."""
    words = text.split()
    if len(words) > 3 and chance.random() < 0.15:
        words.insert(chance.choice((0, chance.randrange(len(words)))), chance.choice(_FILLERS))
    if len(words) > 5 and chance.random() < 0.08:
        at = chance.randrange(len(words) - 1)
        words[at:at] = words[at : at + 2]
    if len(words) > 8 and chance.random() < 0.06:
        words.pop(chance.randrange(len(words)))
    text = " ".join(words)
    return unpunctuated(text) if chance.random() < 0.5 else text
