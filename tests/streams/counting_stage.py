"""A stage that counts the transcripts of each call, run as a worker by the tests of state and queries.

The environment variable ``UNDER_TEST`` begins the names of stage and topic, so that the tests of one broker keep apart.
"""

import os

import msgspec

from voicestream import Stage, State
from voicestream.records import Transcript
from voicestream.streams.topic import Topic


class Tally(msgspec.Struct):
    count: int = 0
    words: int = 0


def said_of(run: str) -> Topic[Transcript]:
    """The topic of the run of this name."""
    return Topic(f"{run}.said", Transcript, external=True)


RUN = os.environ.get("UNDER_TEST", "under-test")
said = said_of(RUN)
stage = Stage(f"{RUN}-counting")
tallies = stage.store("tallies", Tally)


@stage.agent(said, state=tallies)
async def count(transcript: Transcript, state: State[Tally]) -> None:
    state.value = state.value or Tally()
    state.value.count += 1
    state.value.words += len(transcript.text.split())


app = stage.app()
