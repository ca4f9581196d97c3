"""What the tests of the extractors share."""

from datetime import UTC, datetime
from pathlib import Path

from voicestream.records import Transcript

EXAMPLES = Path(__file__).parents[2] / "examples"
WEDNESDAY = int(datetime(2026, 11, 25, 10, 0, tzinfo=UTC).timestamp() * 1000)


def said(text: str, track: str = "customer", at_ms: int = WEDNESDAY) -> Transcript:
    """A transcript of ``text``, said on Wednesday, 2026-11-25."""
    return Transcript(
        call_id="call-1",
        utterance_id=f"call-1/{track}/0",
        track=track,  # type: ignore[arg-type]
        number=0,
        start_ms=0,
        end_ms=1000,
        at_ms=at_ms,
        text=text,
        confidence=0.9,
        language="en",
        engine="test",
        inference_ms=1.0,
    )
