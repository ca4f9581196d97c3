"""What comes from a topic and what goes to one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from voicestream.streams.record import Record

R = TypeVar("R", bound=Record, covariant=True)

Headers = Sequence[tuple[str, bytes]]

MAX_VALUE_BYTES = 1_000_000
"""What a Kafka broker takes unless told otherwise is 1 MiB, with key and headers."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the consumer fetched it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Event(Generic[R]):
    """A decoded message."""

    message: Message
    record: R


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An encoded message on its way to a topic; ``partition`` of ``None`` lets the key decide."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    partition: int | None = None
    headers: Headers = ()


class Keyed(NamedTuple):
    """A record to be sent under another key than its own (a repartition)."""

    key: str
    record: Record


Result = Any  # None, a Record, a Keyed, or an iterable of them
