"""Extractors that look for phrases of a kind, kept in ``phrases/*.yaml``; ``phrases/README.md`` has the notation."""

import re
from collections.abc import Iterable
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
from voicestream.insights.notation import BUILT_IN, Need, Pattern, PatternIndex, Piece, compile_phrase, read_phrase
from voicestream.insights.sentence import Sentence, is_negated, sentence_of
from voicestream.insights.tokens import firm_words, words_of
from voicestream.records import Insight, Track, Transcript
from voicestream.settings import Settings
from voicestream.yaml_file import YamlFile


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


class _Label(NamedTuple):
    name: str
    tracks: frozenset[str]
    negatable: bool
    patterns: PatternIndex
    unless: PatternIndex


class PhraseExtractor:
    """Finds the phrases of one kind: one insight a label (or a kind, where the file says so) and utterance, the surest.

    Args:
        kind: kind of the insights, and name of the extractor.
        file: the phrases, in the notation of ``phrases/README.md``.
        macros: what ``<name>`` in a phrase stands for.

    Raises:
        ConfigFileError: with the line of every phrase that is not well written.
    """

    def __init__(self, kind: str, file: YamlFile, macros: dict[str, Piece]) -> None:
        rules = file.check(KindRules, file.data)
        self.name = kind
        self._value = rules.value
        self._single = rules.single
        self._labels = []
        problems: list[str] = []
        for name, label in rules.labels.items():
            compiled: dict[str, list[Pattern]] = {"phrases": [], "unless": []}
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
                _Label(
                    name, tracks, label.negatable, PatternIndex(compiled["phrases"]), PatternIndex(compiled["unless"])
                )
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
        sentence = sentence_of(transcript.text)
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
        for pattern in label.patterns.possible_in(sentence):
            if best and pattern.confidence <= best[2]:
                continue
            for match in pattern.regex.finditer(sentence.line):
                first, behind = sentence.tokens_of(match)
                if label.negatable and is_negated(sentence.tokens, first):
                    continue
                if barred is None:
                    barred = [
                        sentence.tokens_of(hit)
                        for exception in label.unless.possible_in(sentence)
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


@lru_cache(maxsize=8)
def _macros(company: str, competitors: tuple[str, ...]) -> dict[str, Piece]:
    """What ``macros.yaml`` defines, and the names in the catalogue: ``<company>`` and ``<competitor>``."""
    macros = {**BUILT_IN, "<company>": _any_name((company,)), "<competitor>": _any_name(competitors)}
    file = _packaged("macros")
    for name, phrase in file.check(dict[str, str], file.data).items():
        try:
            macros[f"<{name}>"] = read_phrase(f"({phrase})", macros)
        except ValueError as error:
            raise ConfigFileError([file.problem((name,), str(error))]) from None
    return macros


def _any_name(names: Iterable[str]) -> Piece:
    """A piece that matches any of ``names``; none at all where there are none."""
    rows = [[token.norm for token in firm_words(words_of(name))] for name in names]
    regex = "|".join("".join(f"{re.escape(word)} " for word in row) for row in rows if row)
    return Piece(f"(?:{regex or '(?!)'})", (Need(frozenset(row[0] for row in rows if row)),))


def _packaged(name: str) -> YamlFile:
    return YamlFile.read(Path(str(resources.files(__package__))) / "phrases" / f"{name}.yaml", f"phrases/{name}.yaml")


def packaged(kind: str) -> ExtractorFactory:
    """Maker of the extractor of the phrases in ``phrases/<kind>.yaml``."""

    def make(settings: Settings) -> PhraseExtractor:
        catalogue = Catalogue.of(settings)
        rivals = (name for rival in catalogue.competitors for name in (rival.name, *rival.aliases))
        return PhraseExtractor(kind, _packaged(kind), _macros(catalogue.company, tuple(rivals)))

    return make


price = packaged("price")
objection = packaged("objection")
buying_signal = packaged("buying_signal")
next_step = packaged("next_step")
churn_risk = packaged("churn_risk")
commitment = packaged("commitment")
compliance = packaged("compliance")
