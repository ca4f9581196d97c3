"""What an extractor is, and what it is told of the call."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from voicestream.records import Insight, Transcript
from voicestream.settings import Settings


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the call that an utterance belongs to; all of it may be missing."""

    queue: str | None = None
    agent: str | None = None
    customer: str | None = None
    metadata: dict[str, str] = {}
    started_at_ms: int | None = None


class Extractor(Protocol):
    """Finds business signals in one utterance.

    An extractor keeps no state between utterances: the same transcript gives the same insights after every replay.
    """

    @property
    def name(self) -> str:
        """Name of the extractor, as it stands in the insights that it finds."""
        ...

    def extract(self, transcript: Transcript, context: CallContext) -> Iterable[Insight]:
        """The insights of ``transcript``, each with the characters that are its evidence."""
        ...


ExtractorFactory = Callable[[Settings], Extractor]
"""What an entry point of the group ``voicestream.insight_extractors`` names: settings in, extractor out."""
