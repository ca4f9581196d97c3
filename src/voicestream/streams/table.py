"""Tables: the latest value of each key."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from voicestream.streams.errors import TopologyError
from voicestream.streams.joins.rows import How
from voicestream.streams.operators.node import Node
from voicestream.streams.operators.sink import To
from voicestream.streams.operators.tables import Changes, JoinTables, KeyedView, MapTable
from voicestream.streams.record import Record
from voicestream.streams.state.store import Store
from voicestream.streams.topic import Topic

if TYPE_CHECKING:
    from voicestream.streams.stage import Stage
    from voicestream.streams.stream import Stream

T = TypeVar("T", covariant=True)
U = TypeVar("U")
V = TypeVar("V")
R = TypeVar("R", bound=Record, covariant=True)


class Table(Generic[T]):
    """The latest value of each key; a stream that joins it sees what it has when the record comes."""

    def __init__(self, stage: "Stage", node: KeyedView, kind: Any) -> None:
        self.stage = stage
        self.view = node
        self._kind = kind

    @property
    def store(self) -> "Store[Any]":
        """Where it is kept; raises ``TopologyError`` for one that is computed of others."""
        store = self.view.store
        if store is None:
            raise TopologyError(f"stage {self.stage.name}: this table is computed of others, and not kept itself")
        return store

    def filter(self, function: Callable[[T], bool]) -> "Table[T]":
        """The keys whose value the function takes."""
        return self._then(MapTable(self.view, lambda value: value if function(value) else None), self._kind)

    def map(self, function: Callable[[T], U]) -> "Table[U]":
        """A table of one value of each; ``None`` removes the key."""
        return self._then(MapTable(self.view, function), None)

    def to_stream(self) -> "Stream[T]":
        """The value of a key whenever it changes; a key that is removed is passed over."""
        from voicestream.streams.stream import Stream

        node = Changes(tombstones=False)
        self.view.then(node)
        return Stream(self.stage, node, None if self._kind is None else (self._kind,))

    def to(self, topic: Topic[Any]) -> None:
        """Write each change to ``topic``; a key that is removed as a tombstone."""
        self.view.then(Changes(tombstones=True)).then(To(topic, None, tombstones=True))

    def join(self, other: "Table[U]", function: Callable[[T, U], V]) -> "Table[V]":
        """A table of the keys that both have."""
        return self._join(other, function, "inner")

    def left_join(self, other: "Table[U]", function: Callable[[T, U | None], V]) -> "Table[V]":
        """A table of the keys that this one has; ``None`` stands for what the other has not."""
        return self._join(other, function, "left")

    def outer_join(self, other: "Table[U]", function: Callable[[T | None, U | None], V]) -> "Table[V]":
        """A table of the keys that either has."""
        return self._join(other, function, "outer")

    def feeds(self, node: Node) -> None:
        """Note that ``node`` looks this table up, so that both run in one pipeline."""
        self.view.beside.append(node)

    def _join(self, other: "Table[Any]", function: Callable[[Any, Any], Any], how: How) -> "Table[Any]":
        if other.stage is not self.stage:
            raise TopologyError(
                f"join: one table is of stage {self.stage.name}, the other of {other.stage.name}: let one of them "
                "write to a topic, and make a table of that"
            )
        node = JoinTables(self.view, other.view, function, how)
        self.view.then(node.left)
        other.view.then(node.right)
        return Table(self.stage, node, None)

    def _then(self, node: KeyedView, kind: Any) -> "Table[Any]":
        self.view.then(node)
        return Table(self.stage, node, kind)


class GlobalTable(Generic[R]):
    """The latest record of each key of a whole topic, of which every worker has a copy.

    It is read to its end before the worker takes a record, and followed from there.
    """

    def __init__(self, topic: Topic[R]) -> None:
        self.topic = topic
        self._values: dict[str, R] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> R | None:
        """The latest record of ``key``."""
        return self._values.get(key)

    def look_up(self, partition: int, key: str) -> R | None:
        """The latest record of ``key``, whatever partition asks."""
        return self._values.get(key)

    def put(self, key: str, record: Any) -> None:
        """Take a record of the topic; ``None`` removes its key."""
        if record is None:
            self._values.pop(key, None)
        else:
            self._values[key] = record

    def clear(self) -> None:
        """Forget everything: it is to be read from the beginning."""
        self._values.clear()
