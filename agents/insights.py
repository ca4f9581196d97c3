"""voice.transcripts → voice.insights: business signals with their evidence."""

import msgspec

from voicestream import Stage, topics
from voicestream.insights.base import CallContext, Extractor
from voicestream.insights.extract import extract_all, load_extractors
from voicestream.records import EndOfCall, EndOfUtterance, Insight, Transcript
from voicestream.settings import settings

stage = Stage("insights")
extractors: list[Extractor] = []


@stage.on_start
async def load() -> None:
    extractors[:] = load_extractors(settings())


@stage.agent(topics.transcripts, out=topics.insights)
async def insights(said: Transcript | EndOfCall) -> list[Insight | EndOfUtterance | EndOfCall]:
    """The insights of an utterance, and behind them the mark that there are no more of it."""
    if isinstance(said, EndOfCall):
        return [msgspec.structs.replace(said, stage="insights")]
    end = EndOfUtterance(
        utterance_id=said.utterance_id,
        call_id=said.call_id,
        track=said.track,
        number=said.number,
        stage="insights",
        at_ms=said.at_ms,
    )
    return [*extract_all(said, CallContext(), extractors), end]


app = stage.app()
