"""Records for tests."""

from typing import Any

from voicestream.records import Transcript, Word


def transcript(**changes: Any) -> Transcript:
    """A transcript of one word; any field can be changed."""
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
