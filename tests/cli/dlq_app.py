"""A stage that test_dlq runs as a worker: it counts transcripts by call, and is broken while BROKEN is set."""

import os

from voicestream import Stage, State, topics
from voicestream.records import Insight, Transcript

stage = Stage("dlq-test")
counts = stage.store("counts", int)


@stage.agent(topics.transcripts, out=topics.insights, state=counts)
async def count(said: Transcript, state: State[int]) -> Insight:
    state.value = (state.value or 0) + 1
    if "BROKEN" in os.environ and said.text == "odd":
        raise ValueError("an odd text")
    return Insight.of(said, kind="count", label=str(state.value))


app = stage.app()
