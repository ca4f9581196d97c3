"""Mentions of a competitor in the catalogue."""

from collections.abc import Iterable

from voicestream.insights.base import CallContext
from voicestream.insights.catalogue import Catalogue
from voicestream.insights.names import NameFinder
from voicestream.insights.tokens import words_of
from voicestream.records import Insight, Transcript
from voicestream.settings import Settings


class CompetitorExtractor:
    """Finds each competitor of ``catalogue`` once an utterance; the label is its name."""

    name = "competitor"

    def __init__(self, catalogue: Catalogue) -> None:
        self._names = NameFinder(
            (competitor.name, form)
            for competitor in catalogue.competitors
            for form in (competitor.name, *competitor.aliases)
        )

    def extract(self, transcript: Transcript, context: CallContext) -> Iterable[Insight]:
        """The competitors named in ``transcript``, by anyone."""
        words = words_of(transcript.text)
        seen: set[str] = set()
        for hit in self._names.find(transcript.text, words):
            if hit.key not in seen:
                seen.add(hit.key)
                span = (words[hit.first].start, words[hit.behind - 1].end)
                yield Insight.of(
                    transcript, kind=self.name, label=hit.key, value=hit.key, span=span, confidence=hit.confidence
                )


def competitor(settings: Settings) -> CompetitorExtractor:
    """The extractor for the catalogue that the settings name."""
    return CompetitorExtractor(Catalogue.of(settings))
