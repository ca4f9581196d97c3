"""Test a stage in milliseconds, without a broker."""

from typing import Any

from voicestream import topics
from voicestream.codec import codec
from voicestream.records import Transcript, Word
from voicestream.streams.stage import Stage
from voicestream.streams.state.store import Backend
from voicestream.streams.testing import TopologyTestDriver as StreamsDriver


class TopologyTestDriver(StreamsDriver):
    """The driver with voicestream's codec and dead-letter topic."""

    def __init__(self, *stages: Stage, start_ms: int = 1_700_000_000_000, state: Backend = "memory") -> None:
        super().__init__(*stages, codec=codec(), dead_letters=topics.dlq, start_ms=start_ms, state=state)


def transcript(**changes: Any) -> Transcript:
    """A transcript of one word, for tests; any field can be changed."""
    fields: dict[str, Any] = {
        "utterance_id": "c/agent/0",
        "call_id": "c",
        "track": "agent",
        "number": 0,
        "start_ms": 0,
        "end_ms": 900,
        "at_ms": 1,
        "text": "hello",
        "words": [Word(text="hello", start_ms=0, end_ms=900, confidence=0.5)],
        "confidence": 0.5,
        "language": "en",
        "engine": "test",
        "inference_ms": 1.0,
    }
    return Transcript(**(fields | changes))
