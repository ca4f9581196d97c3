"""A named, typed topic."""

from typing import Generic, TypeVar

from voicestream.streams.durations import Duration, parse_duration
from voicestream.streams.names import checked
from voicestream.streams.record import Record

R = TypeVar("R", bound=Record, covariant=True)


class Topic(Generic[R]):
    """A topic and the record types that it carries; every value names its schema, so there may be several.

    ``partitions`` of ``None`` means the number that the settings give to every topic. ``external``: something else
    than a stage writes it, such as a gateway or another system. ``feedback``: its records may come round to the stages
    that they follow from, and that is meant; without it a cycle of stages and topics is refused. ``retention``: a
    worker that creates the topic tells the broker to keep messages so long (twice, at most); ``None``: its default.
    """

    def __init__(
        self,
        name: str,
        *types: type[R],
        partitions: int | None = None,
        external: bool = False,
        feedback: bool = False,
        retention: Duration | None = None,
    ) -> None:
        if not types:
            raise ValueError(f"topic {name!r}: name at least one record type that it carries")
        self.name = checked("topic", name)
        self.types = types
        self.partitions = partitions
        self.external = external
        self.feedback = feedback
        self.retention_ms = None if retention is None else parse_duration(retention)

    def __repr__(self) -> str:
        return f"Topic({self.name!r}, {', '.join(t.__name__ for t in self.types)})"
