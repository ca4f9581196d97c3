"""voice.transcripts → voice.insights: the thanks of customers."""

from voicestream import Stage, topics
from voicestream.records import Insight, Transcript

stage = Stage("compliments")


@stage.agent(topics.transcripts, out=topics.insights)
async def compliments(transcript: Transcript) -> Insight | None:
    """Note every thank-you of a customer."""
    if transcript.track == "customer" and "thank you" in transcript.text.lower():
        return Insight.of(transcript, kind="compliment")
    return None


app = stage.app()  # faust -A agents.compliments worker
