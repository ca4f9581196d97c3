"""What the agents of a process share."""

from dataclasses import dataclass

from voicestream.streams.codec import Codec
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.topic import Topic


@dataclass(frozen=True)
class Environment:
    """What every agent needs of its surroundings."""

    codec: Codec
    dead_letters: Topic[DeadLetter]
