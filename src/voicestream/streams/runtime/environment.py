"""What the agents of a process share."""

from collections.abc import Sequence
from dataclasses import dataclass

from voicestream.streams.avro.codec import Codec
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.middleware.base import Middleware, chain
from voicestream.streams.middleware.retries import Retries
from voicestream.streams.policies import Action, Retry
from voicestream.streams.topic import Topic


@dataclass(frozen=True)
class Environment:
    """What every agent needs of its surroundings."""

    codec: Codec
    dead_letters: Topic[DeadLetter | LetterReplay]
    middleware: Sequence[Middleware] = ()
    """What is put around every call of every agent, the first outermost."""

    def around(self, middleware: Sequence[Middleware], process: Action | Retry) -> Middleware:
        """What is put around the calls of one agent: ours, its stage's, and its policy of trying again."""
        again = (Retries(process),) if isinstance(process, Retry) else ()
        return chain((*self.middleware, *middleware, *again))
