"""A stream cut into windows of event time, and what is aggregated of each."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from voicestream.streams.aggregators import Aggregator, Collect, Count, Fold, Reduce
from voicestream.streams.durations import Duration
from voicestream.streams.errors import TopologyError
from voicestream.streams.kinds import Kinds, only_kind
from voicestream.streams.operators.node import Node
from voicestream.streams.operators.windowed import Close, KeyWindows, Window
from voicestream.streams.state.store import Store
from voicestream.streams.windows import Windowed, Windows

if TYPE_CHECKING:
    from voicestream.streams.stage import Stage
    from voicestream.streams.stream import Stream

T = TypeVar("T", covariant=True)
A = TypeVar("A")
R = TypeVar("R", covariant=True)


class WindowedStream(Generic[T]):
    """The records of each key by windows; say what is to be made of those of one."""

    def __init__(
        self,
        stage: "Stage",
        node: Node,
        kinds: Kinds,
        windows: Windows,
        name: str,
        close: Close,
        ttl: Duration | None,
    ) -> None:
        self._stage = stage
        self._node = node
        self._kinds = kinds
        self._windows = windows
        self._name = name
        self._close = close
        self._ttl = ttl

    @overload
    def aggregate(self, initial: Aggregator[T, Any, A]) -> "WindowedTable[T, A]": ...

    @overload
    def aggregate(
        self,
        initial: Callable[[], A],
        add: Callable[[A, T], A],
        *,
        merge: Callable[[A, A], A] | None = None,
        type: Any = None,
    ) -> "WindowedTable[T, A]": ...

    def aggregate(
        self, initial: Any, add: Any = None, *, merge: Any = None, type: Any = None
    ) -> "WindowedTable[Any, Any]":
        """What is made of the records of a window.

        Give an aggregator, such as ``Mean(of)``, or a function that makes an empty state and one that adds a record;
        session windows need ``merge`` of two states. ``type`` is that of the state, where its class does not tell.
        """
        aggregator = aggregator_of(initial, add, merge, type)
        try:
            self._windows.check(aggregator)
        except TopologyError as error:
            raise TopologyError(f"stage {self._stage.name}, window {self._name!r}: {error}") from error
        kind = KeyWindows[aggregator.state_type]  # type: ignore[name-defined]
        store: Store[Any] = self._stage.store(self._name, kind, ttl=self._ttl)
        node = Window(store, self._windows, aggregator, self._close)
        self._node.then(node)
        return WindowedTable(self._stage, node, self._kinds)

    def count(self) -> "WindowedTable[T, int]":
        """The number of records of each window."""
        return self.aggregate(Count())

    def reduce(self, function: "Callable[[T, T], T]") -> "WindowedTable[T, T]":
        """What ``function`` makes of the records of a window, two at a time; it must be associative."""
        return self.aggregate(Reduce(function, only_kind(self._stage, self._kinds, f"window {self._name!r}")))

    def collect(self) -> "WindowedTable[T, list[T]]":
        """All records of a window, in the order in which they came: for windows of tens of records."""
        return self.aggregate(Collect(only_kind(self._stage, self._kinds, f"window {self._name!r}")))


class WindowedTable(Generic[T, R]):
    """The aggregate of each window of each key."""

    def __init__(self, stage: "Stage", node: Window, kinds: Kinds) -> None:
        self._stage = stage
        self._window = node
        self._kinds = kinds

    @property
    def store(self) -> "Store[KeyWindows[Any]]":
        """The open windows, by key."""
        return self._window.store

    def current(self) -> "Stream[Windowed[R]]":
        """The aggregate of a window with every record that changes it: the last one of a window is its result."""
        return self._stream(self._window.current, (Windowed,))

    def final(self) -> "Stream[Windowed[R]]":
        """The aggregate of each window once, when it is closed: event time is past its end and grace."""
        return self._stream(self._window.final, (Windowed,))

    def late(self) -> "Stream[T]":
        """The records that came when all their windows were closed; ``voicestream_late_records_total`` counts them."""
        return self._stream(self._window.late, self._kinds)

    def _stream(self, node: Node, kinds: Kinds) -> "Stream[Any]":
        from voicestream.streams.stream import Stream

        return Stream(self._stage, node, kinds)


def aggregator_of(initial: Any, add: Any, merge: Any, type: Any) -> Aggregator[Any, Any, Any]:
    """An aggregator: the one that is given, or that of two functions."""
    if add is not None:
        return Fold(initial, add, merge, type)
    if not all(hasattr(initial, name) for name in ("state_type", "new", "add", "result")) or isinstance(initial, Type):
        raise TopologyError(
            f"aggregate({initial!r}): give an aggregator, such as Count(), or two functions: one that makes an empty "
            "state, and one that adds a record to it"
        )
    found: Aggregator[Any, Any, Any] = initial
    return found


Type = type
