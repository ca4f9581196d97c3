"""Entities: money, percentages, dates, times, products, e-mail addresses and phone numbers."""

import re
from collections.abc import Iterable

from voicestream.insights.base import CallContext
from voicestream.insights.catalogue import Catalogue
from voicestream.insights.dates import moments_in
from voicestream.insights.money import amounts_in, percentages_in
from voicestream.insights.names import NameFinder
from voicestream.insights.tokens import words_of
from voicestream.records import Insight, Transcript
from voicestream.settings import Settings

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_PHONE = re.compile(r"(?<![\w.$€£-])\+?\(?\d[\d ().-]{6,18}\d(?![\w-])")


class EntityExtractor:
    """Finds every entity; the label is its sort, the value its normal form.

    | label | value |
    |---|---|
    | ``money`` | ``49.00 USD`` |
    | ``percent`` | ``20%`` |
    | ``date`` | ISO 8601, resolved against the time of the utterance (UTC) |
    | ``time`` | ``15:00`` |
    | ``product`` | the product's id |
    | ``email`` | the address in lower case |
    | ``phone`` | its digits, with the ``+`` if there is one |
    """

    name = "entity"

    def __init__(self, catalogue: Catalogue) -> None:
        self._products = NameFinder(
            (product.id, form) for product in catalogue.products for form in (product.name, *product.aliases)
        )

    def extract(self, transcript: Transcript, context: CallContext) -> Iterable[Insight]:
        """The entities in ``transcript``, on any track."""
        text = transcript.text
        words = words_of(text)
        found: list[tuple[int, int, str, str, float]] = []
        for hit in self._products.find(text, words):
            found.append((words[hit.first].start, words[hit.behind - 1].end, "product", hit.key, hit.confidence))
        for label, amounts in (("money", amounts_in(words)), ("percent", percentages_in(words))):
            for amount in amounts:
                span = words[amount.first].start, words[amount.behind - 1].end
                found.append((*span, label, amount.value, amount.confidence))
        found += moments_in(text, words, transcript.at_ms)
        for match in _EMAIL.finditer(text):
            found.append((*match.span(), "email", match.group().lower(), 0.97))
        for match in _PHONE.finditer(text):
            digits = re.sub(r"[^\d+]", "", match.group())
            if 9 <= len(digits.lstrip("+")) <= 15:
                found.append((*match.span(), "phone", digits, 0.8))
        for start, end, label, value, confidence in found:
            yield Insight.of(
                transcript, kind=self.name, label=label, value=value, span=(start, end), confidence=confidence
            )


def entity(settings: Settings) -> EntityExtractor:
    """The extractor for the catalogue that the settings name."""
    return EntityExtractor(Catalogue.of(settings))
