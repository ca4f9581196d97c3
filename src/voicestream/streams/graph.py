"""What a stage declares with operators: its streams and tables, and the pipelines that come of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from voicestream.streams.durations import Duration, parse_duration
from voicestream.streams.errors import TopologyError
from voicestream.streams.operators.pipeline import Pipeline, pipelines
from voicestream.streams.operators.source import Source
from voicestream.streams.operators.tables import Materialised
from voicestream.streams.policies import ErrorPolicy
from voicestream.streams.record import Record
from voicestream.streams.stream import Stream
from voicestream.streams.table import GlobalTable, Table
from voicestream.streams.topic import Topic

if TYPE_CHECKING:
    from voicestream.streams.stage import Stage

R = TypeVar("R", bound=Record)


class Graph:
    """The streams and tables of one stage."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage
        self._sources: dict[str, Source] = {}
        self._errors: dict[int, ErrorPolicy] = {}
        self.global_tables: list[GlobalTable[Any]] = []

    def stream(
        self, topic: Topic[R], time: Callable[[R], int] | None, idle: Duration | None, errors: ErrorPolicy | None
    ) -> Stream[R]:
        """The records of ``topic``."""
        source = Source(topic, time, None if idle is None else parse_duration(idle))
        return Stream(self._stage, self._add(source, errors), topic.types)

    def table(self, name: str, topic: Topic[R], errors: ErrorPolicy | None, ttl: Duration | None) -> Table[R]:
        """The latest record of each key of ``topic``."""
        if len(topic.types) != 1:
            raise TopologyError(
                f"stage {self._stage.name}, table {name!r}: topic {topic.name} carries "
                f"{', '.join(t.__name__ for t in topic.types)}, and a table keeps one type: make it of a stream, with "
                f"stage.stream(…).of(Type).to_table({name!r})"
            )
        source = self._add(Source(topic, None, None, timeless=True), errors)
        node = Materialised(self._stage.store(name, topic.types[0], ttl=ttl))
        source.then(node)
        return Table(self._stage, node, topic.types[0])

    def global_table(self, topic: Topic[R]) -> GlobalTable[R]:
        """The latest record of each key of ``topic``, whole on every worker."""
        table = GlobalTable(topic)
        self.global_tables.append(table)
        return table

    def pipelines(self) -> list[Pipeline]:
        """The connected parts of the graph."""
        return pipelines(self._stage.name, list(self._sources.values()), self._errors)

    def _add(self, source: Source, errors: ErrorPolicy | None) -> Source:
        """The source of a topic: the one there is, where it reads the topic in the same way."""
        known = self._sources.setdefault(source.topic.name, source)
        if (known.time, known.idle_ms, known.timeless) != (source.time, source.idle_ms, source.timeless):
            raise TopologyError(
                f"stage {self._stage.name}: topic {source.topic.name} is read twice, with another time or idle, or as "
                "a stream and as a table: read it once, and use the stream several times (a table as table.to_stream())"
            )
        self._errors.setdefault(id(known), errors or self._stage.errors)
        return known
