"""Extractors that look for phrases of a kind, kept in ``phrases/*.yaml``; ``phrases/README.md`` has the notation."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from voicestream.errors import ConfigFileError
from voicestream.insights.base import CallContext, ExtractorFactory
from voicestream.insights.catalogue import Catalogue
from voicestream.insights.dates import moments_in
from voicestream.insights.money import amounts_in
from voicestream.insights.numbers import NUMBER_WORDS
from voicestream.insights.tokens import Token, expand_words, firm_words, is_soft, words_of
from voicestream.records import Insight, Track, Transcript
from voicestream.settings import Settings
from voicestream.yaml_file import YamlFile, unknown

_PART = re.compile(r"\s+|\)\?|[()|]|\.\.\.\d*|<\w+>|[\w']+\*?|.")
_FRONT = "(?<= )"


class LabelRules(BaseModel):
    """Phrases of one label, by the confidence that they deserve."""

    model_config = ConfigDict(extra="forbid")

    phrases: dict[float, list[str]]
    unless: list[str] = []
    tracks: list[Track] | None = None
    negatable: bool = True


class KindRules(BaseModel):
    """One file: whose words count, what the value of an insight is, and the phrases of each label."""

    model_config = ConfigDict(extra="forbid")

    tracks: list[Track] = Field(["agent", "customer"], min_length=1)
    single: bool = False
    value: Literal["money", "date"] | None = None
    labels: dict[str, LabelRules]


class _Pattern(NamedTuple):
    regex: re.Pattern[str]
    needs: frozenset[str]
    confidence: float


class _Label(NamedTuple):
    name: str
    tracks: frozenset[str]
    negatable: bool
    patterns: tuple[_Pattern, ...]
    unless: tuple[_Pattern, ...]


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
def _sentence(text: str) -> Sentence:
    return Sentence(text)


_NEGATORS = frozenset("not never no without hardly nobody neither nor none".split())
# Behind these a "not" denies nothing of what follows: "not only is it expensive", "I am not sure, it is expensive".
_EMPTY_NEGATIONS = frozenset("only sure matter doubt wonder problem worries".split())
_CLAUSE_ENDS = frozenset(". ? but because since although though so and if unless or while until".split())
_SUBJECTS = frozenset("i we you they it he she that this".split())
_OPINIONS = frozenset("think say saying believe feel find mean suppose thinking expect".split())
_SCOPE = 6


def is_negated(tokens: Sequence[Token], at: int) -> bool:
    """True if a negation before ``tokens[at]``, in the same clause, reaches it: ``I am not going to [cancel]``."""
    subject_between = False
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


class PhraseExtractor:
    """Finds the phrases of one kind: one insight a label (or a kind, where the file says so) and utterance, the surest.

    Args:
        kind: kind of the insights, and name of the extractor.
        file: the phrases, in the notation of ``phrases/README.md``.
        macros: what ``<name>`` in a phrase stands for.

    Raises:
        ConfigFileError: with the line of every phrase that is not well written.
    """

    def __init__(self, kind: str, file: YamlFile, macros: dict[str, str]) -> None:
        rules = file.check(KindRules, file.data)
        self.name = kind
        self._value = rules.value
        self._single = rules.single
        self._labels = []
        problems: list[str] = []
        for name, label in rules.labels.items():
            compiled: dict[str, list[_Pattern]] = {"phrases": [], "unless": []}
            groups = [*label.phrases.items(), (1.0, label.unless)]
            for number, (confidence, phrases) in enumerate(groups):
                part = "unless" if number == len(label.phrases) else "phrases"
                for index, phrase in enumerate(phrases):
                    try:
                        compiled[part].append(compile_phrase(phrase, confidence, macros))
                    except ValueError as error:
                        path = ("labels", name, part, index)
                        if part == "phrases":
                            path = ("labels", name, part, str(confidence), index)  # type: ignore[assignment]
                        problems.append(file.problem(path, f"phrase '{phrase}': {error}"))
            tracks = frozenset(label.tracks or rules.tracks) | {"mono"}
            self._labels.append(
                _Label(name, tracks, label.negatable, tuple(compiled["phrases"]), tuple(compiled["unless"]))
            )
        if problems:
            raise ConfigFileError(problems)

    def extract(self, transcript: Transcript, context: CallContext) -> Iterable[Insight]:
        """The best evidence of each label that the track of ``transcript`` can have."""
        insights = [*self._each_label(transcript)]
        if self._single and insights:
            return [max(insights, key=lambda insight: insight.confidence)]
        return insights

    def _each_label(self, transcript: Transcript) -> Iterable[Insight]:
        sentence = _sentence(transcript.text)
        for label in self._labels:
            if transcript.track not in label.tracks:
                continue
            best = self._best(label, sentence)
            if best is not None:
                first, behind, confidence = best
                span = (sentence.tokens[first].start, sentence.tokens[behind - 1].end)
                # On a single track nobody knows who said it.
                certainty = 0.9 if transcript.track == "mono" and len(label.tracks) < 3 else 1.0
                yield Insight.of(
                    transcript,
                    kind=self.name,
                    label=label.name,
                    value=self._value_near(transcript, span),
                    span=span,
                    confidence=round(confidence * certainty, 3),
                )

    @staticmethod
    def _best(label: _Label, sentence: Sentence) -> tuple[int, int, float] | None:
        best: tuple[int, int, float] | None = None
        barred: list[tuple[int, int]] | None = None
        for pattern in label.patterns:
            if (best and pattern.confidence <= best[2]) or not pattern.needs <= sentence.vocabulary:
                continue
            for match in pattern.regex.finditer(sentence.line):
                first, behind = sentence.tokens_of(match)
                if label.negatable and is_negated(sentence.tokens, first):
                    continue
                if barred is None:
                    barred = [
                        sentence.tokens_of(hit)
                        for exception in label.unless
                        if exception.needs <= sentence.vocabulary
                        for hit in exception.regex.finditer(sentence.line)
                    ]
                if not any(start < behind and first < end for start, end in barred):
                    best = (first, behind, pattern.confidence)
                    break
        return best

    def _value_near(self, transcript: Transcript, span: tuple[int, int]) -> str | None:
        """The amount or date nearest to the evidence, where the kind has one."""
        if self._value is None:
            return None
        words = words_of(transcript.text)
        if self._value == "money":
            spots = [(words[a.first].start, words[a.behind - 1].end, a.value) for a in amounts_in(words)]
        else:
            spots = [(m.start, m.end, m.value) for m in moments_in(transcript.text, words, transcript.at_ms)]
        return min(spots, key=lambda spot: max(span[0] - spot[1], spot[0] - span[1], 0))[2] if spots else None


def compile_phrase(phrase: str, confidence: float, macros: dict[str, str]) -> _Pattern:
    """The pattern of one phrase.

    Raises:
        ValueError: the phrase is not well written.
    """
    depth = 0
    regex: list[str] = []
    needs: set[str] = set()
    for part in _PART.findall(phrase):
        if part.isspace():
            continue
        if part == "(":
            depth += 1
            regex.append("(?:")
        elif part in (")", ")?"):
            depth -= 1
            regex.append(part)
        elif part == "|":
            if not depth:
                raise ValueError("put alternatives in brackets: (this|that)")
            regex.append("|")
        elif part.startswith("..."):
            regex.append(f"(?:[^ .?]+ ){{0,{part[3:] or 3}}}?")
        elif part.startswith("<"):
            if part not in macros:
                raise ValueError(unknown(part, macros))
            regex.append(macros[part])
        elif not re.fullmatch(r"[\w']+\*?", part):
            raise ValueError(f"'{part}' means nothing here; see phrases/README.md")
        elif part.endswith("*"):
            regex.append(rf"{re.escape(part[:-1].lower())}\w* ")
        else:
            for word in expand_words(part).split():
                if is_soft(word):
                    raise ValueError(f"'{word}' is never seen, for it is left out of utterances; leave it out here")
                regex.append(f"{re.escape(word)} ")
                if not depth:
                    needs.add(word)
    try:
        return _Pattern(re.compile(_FRONT + "".join(regex)), frozenset(needs), confidence)
    except re.error as error:
        raise ValueError(f"brackets do not match ({error})") from None


_BUILT_IN = {
    "<money>": "<money> ",
    "<number>": rf"(?:\d\S*|{'|'.join(sorted(NUMBER_WORDS))}) ",
    "<start>": r"(?:(?<=^ )|(?<=[.?] ))",
    "<end>": r"(?=[.?] |$)",
}


@lru_cache(maxsize=8)
def _macros(company: str) -> dict[str, str]:
    file = _packaged("macros")
    names = [" ".join(token.norm for token in firm_words(words_of(name))) for name in (company,) if name]
    macros = {**_BUILT_IN, "<company>": f"(?:{re.escape(names[0])} )" if names else "(?!)"}
    for name, phrase in file.check(dict[str, str], file.data).items():
        try:
            macros[f"<{name}>"] = f"(?:{compile_phrase(f'({phrase})', 1.0, macros).regex.pattern.removeprefix(_FRONT)})"
        except ValueError as error:
            raise ConfigFileError([file.problem((name,), str(error))]) from None
    return macros


def _packaged(name: str) -> YamlFile:
    return YamlFile.read(Path(str(resources.files(__package__))) / "phrases" / f"{name}.yaml", f"phrases/{name}.yaml")


def packaged(kind: str) -> ExtractorFactory:
    """Maker of the extractor of the phrases in ``phrases/<kind>.yaml``."""

    def make(settings: Settings) -> PhraseExtractor:
        company = Catalogue.of(settings).company
        return PhraseExtractor(kind, _packaged(kind), _macros(company))

    return make


price = packaged("price")
objection = packaged("objection")
buying_signal = packaged("buying_signal")
next_step = packaged("next_step")
churn_risk = packaged("churn_risk")
commitment = packaged("commitment")
compliance = packaged("compliance")
