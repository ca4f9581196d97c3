"""What the agents of a process share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voicestream.streams.avro.codec import Codec
from voicestream.streams.dead_letter import DeadLetter, LetterReplay
from voicestream.streams.errors import EncodeError
from voicestream.streams.message import MAX_VALUE_BYTES
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

    def encode(self, owner: str, topic: Topic[Any], record: Any) -> bytes:
        """The bytes of a record that ``owner`` sends; raises ``EncodeError`` where ``topic`` does not take them."""
        value = self.codec.encode(topic, record)
        if len(value) > MAX_VALUE_BYTES:
            raise EncodeError(
                f"{owner}: a {type(record).__name__} of {len(value)} bytes: topic {topic.name} takes at most "
                f"{MAX_VALUE_BYTES} bytes"
            )
        return value

    def around(self, middleware: Sequence[Middleware], process: Action | Retry) -> Middleware:
        """What is put around the calls of one agent: ours, its stage's, and its policy of trying again."""
        again = (Retries(process),) if isinstance(process, Retry) else ()
        return chain((*self.middleware, *middleware, *again))
