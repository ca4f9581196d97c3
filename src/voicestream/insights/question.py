"""Questions, with and without their question mark."""

from collections.abc import Iterable, Sequence

from voicestream.insights.base import CallContext
from voicestream.insights.tokens import Token, words_of
from voicestream.insights.vocabulary import word_set
from voicestream.records import Insight, Transcript
from voicestream.settings import Settings

_OPEN = word_set("what which who whom whose where when why how")
_AUXILIARY = word_set("is are am was were do does did have has had can could will would shall should may might must")
_SUBJECTS = word_set(
    "i you we they it he she this that there these those the my your our their his her anyone anybody someone "
    "somebody everything everyone any"
)
# Words that lead into a sentence and say nothing about its form.
_LEADS = word_set(
    "and but so or well okay yes no right oh now then alright great sorry also hi hello thanks actually just "
    "please um wait hey sure"
)
# A question does not begin behind these: "if I could I would", "as soon as you can".
_JOINED = word_set(
    "if as than so not nor neither whatever whenever because and about of to for see know tell ask wonder which"
)
_PERSONS = word_set("i you we they it he she")
_NO_QUESTION = frozenset({("what", "a"), ("how", "nice"), ("how", "lovely"), ("how", "kind"), ("how", "annoying")})
_POLITE = frozenset({("did", "not"), ("is", "not"), ("are", "not"), ("can", "not"), ("could", "not")})


class QuestionExtractor:
    """Finds each sentence that asks; the label is ``open`` (what, how, why ...) or ``closed`` (yes or no)."""

    name = "question"

    def extract(self, transcript: Transcript, context: CallContext) -> Iterable[Insight]:
        """The questions in ``transcript``, on any track."""
        words = words_of(transcript.text)
        if not any(word.pause or word.norm in ".?" for word in words):
            amid = None if _asks(words) else _asks_amid(words)
            if amid is not None:
                at, form = amid
                span = (words[at].start, words[-1].end)
                yield Insight.of(transcript, kind=self.name, label=form, span=span, confidence=0.6)
                return
        for sentence, marked in _sentences(words):
            asked = _asks(sentence)
            if not marked and asked is None:
                continue
            opening = asked or ("open" if any(word.norm in _OPEN for word in sentence[:4]) else "closed")
            confidence = 0.97 if marked and asked else 0.9 if marked else 0.7
            yield Insight.of(
                transcript,
                kind=self.name,
                label=opening,
                span=(sentence[0].start, sentence[-1].end),
                confidence=confidence,
            )


def _sentences(words: Sequence[Token]) -> Iterable[tuple[list[Token], bool]]:
    """The sentences with at least two words, and whether each ends with a question mark (which belongs to it)."""
    sentence: list[Token] = []
    for word in words:
        if word.norm not in (".", "?"):
            sentence.append(word)
            continue
        marked = word.norm == "?"
        if len(sentence) > 1 or (sentence and marked):
            yield ([*sentence, word] if marked else sentence), marked
        sentence = []
    if len(sentence) > 2:
        yield sentence, False


def _asks(sentence: Sequence[Token]) -> str | None:
    """``open`` or ``closed`` if the order of the words is that of a question."""
    at = 0
    while at < len(sentence) and sentence[at].norm in _LEADS:
        at += 1
    # "Sure, what is it", "Thank you, can you help me"
    for start in [at, *(index for index in range(at + 1, min(len(sentence), 8)) if sentence[index].pause)]:
        form = _form(sentence, start)
        if form:
            return form
    return None


def _asks_amid(words: Sequence[Token]) -> tuple[int, str] | None:
    """Where a question begins in words without any punctuation, and its form: "that sounds great can I pay by card"."""
    for at in range(2, len(words) - 2):
        if words[at - 1].norm in _JOINED or words[at - 1].norm in _OPEN | _SUBJECTS | _AUXILIARY:
            continue
        # After a noun, "is our mistake" goes on with it; only these turn to the other one in the middle of things.
        if words[at].norm in _AUXILIARY and words[at + 1].norm not in _PERSONS:
            continue
        form = _form(words, at)
        if form:
            return at, form
    return None


def _form(sentence: Sequence[Token], at: int) -> str | None:
    norms = [word.norm for word in sentence[at : at + 5]] + [""] * 5
    first, second, third = norms[:3]
    if (first, second) in _NO_QUESTION:
        return None
    if first in _OPEN:
        # "When you call, ..." and "what I want is ..." tell; "when will you" and "how much is" ask.
        if second in _AUXILIARY:
            return "open" if first != "when" or third in _SUBJECTS or second in ("is", "was", "are") else None
        if (first, second) in (("how", "about"), ("what", "about"), ("why", "not"), ("what", "happens")):
            return "open"
        if first == "how" and second in ("much", "many", "long", "often", "soon", "far", "fast", "quickly", "come"):
            return "open"
        if first in ("which", "whose", "what") and any(word in _AUXILIARY for word in norms[2:5]):
            return "open" if second not in _SUBJECTS else None
        return None
    if first == "do" and second in ("it", "that", "this", "the", "my", "your", "everything", "any"):
        return None  # an order: "do that for me"
    if first in _AUXILIARY and (second in _SUBJECTS or ((first, second) in _POLITE and third in _SUBJECTS)):
        return "closed"
    return None


def question(settings: Settings) -> QuestionExtractor:
    """The extractor; it has no settings."""
    return QuestionExtractor()
