"""All extractors together."""

import logging
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from prometheus_client import Counter

from voicestream.insights.base import CallContext, Extractor
from voicestream.records import Insight, Transcript
from voicestream.settings import Settings

logger = logging.getLogger(__name__)

GROUP = "voicestream.insight_extractors"

failures = Counter(
    "voicestream_insight_extractor_failures_total", "Utterances on which an extractor failed.", ["extractor"]
)


def load_extractors(settings: Settings) -> list[Extractor]:
    """Make every extractor that an installed package registers under ``voicestream.insight_extractors``.

    A plug-in that cannot be loaded is logged, counted and left out; a fault in a file of ours or of the user is raised.

    Raises:
        ConfigFileError: the catalogue or a file of phrases is not well written.
    """
    extractors: list[Extractor] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        own = entry.value.startswith("voicestream.")
        try:
            extractors.append(entry.load()(settings))
        except Exception:
            if own:
                raise
            logger.exception("insight extractor %s (%s) cannot be loaded; going on without it", entry.name, entry.value)
            failures.labels(entry.name).inc()
    if not extractors:
        logger.warning("no insight extractor is registered; install voicestream again, so that pip knows its own")
    return extractors


def extract_all(transcript: Transcript, context: CallContext, extractors: Sequence[Extractor]) -> list[Insight]:
    """The insights of all ``extractors``, each signal once, in the order of their evidence in the text.

    An extractor that raises is logged and counted; what the others find is kept.
    """
    found: list[Insight] = []
    for extractor in extractors:
        try:
            found += extractor.extract(transcript, context)
        except Exception:
            logger.exception("insight extractor %s failed on %s", extractor.name, transcript.utterance_id)
            failures.labels(extractor.name).inc()
    return sorted(_distinct(found), key=lambda insight: (insight.start, insight.end, insight.kind, insight.label))


def _distinct(found: Iterable[Insight]) -> list[Insight]:
    """Of insights of one kind and label whose evidence overlaps, the surest."""
    kept: list[Insight] = []
    for insight in sorted(found, key=lambda i: (-i.confidence, i.start, -i.end, i.kind, i.label, i.extractor)):
        if not any(
            (insight.kind, insight.label) == (other.kind, other.label)
            and (insight.insight_id == other.insight_id or (insight.start < other.end and other.start < insight.end))
            for other in kept
        ):
            kept.append(insight)
    return kept
