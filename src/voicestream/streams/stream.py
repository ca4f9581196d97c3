"""Streams and tables: typed operators that are chained, as Kafka Streams has them.

Nothing runs here: each call adds a node to the graph of the stage. What is connected between topics runs as one agent,
in order, with its state changes as one transaction. Keys are text: the key of the message, until ``key_by`` sends the
records to another partition under another one.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from voicestream.streams.aggregators import Aggregator, Count, Reduce
from voicestream.streams.durations import Duration, parse_duration
from voicestream.streams.errors import TopologyError
from voicestream.streams.joins.asof import AsOfJoin
from voicestream.streams.joins.rows import Buffers, How, StreamJoin
from voicestream.streams.joins.windowed import WindowedJoin, Within
from voicestream.streams.kinds import Kinds, only_kind, related, returned, yielded
from voicestream.streams.operators.calls import Batched, ForEach, MapAsync, Order
from voicestream.streams.operators.joined import Join
from voicestream.streams.operators.keyed import Every, Process
from voicestream.streams.operators.node import Branch, Filter, FlatMap, Map, Node, OfType, Peek, Port
from voicestream.streams.operators.sink import To
from voicestream.streams.operators.source import Source
from voicestream.streams.operators.tables import Aggregate, LookUp, LookUpBy, Materialised
from voicestream.streams.operators.windowed import Close
from voicestream.streams.record import Record
from voicestream.streams.state.store import State, Store
from voicestream.streams.table import GlobalTable, Table
from voicestream.streams.topic import Topic
from voicestream.streams.windowed_stream import WindowedStream, aggregator_of
from voicestream.streams.windows import Windows

if TYPE_CHECKING:
    from voicestream.streams.stage import Stage

T = TypeVar("T", covariant=True)
U = TypeVar("U")
V = TypeVar("V")
S = TypeVar("S")
R = TypeVar("R", bound=Record)

Interval = Duration | tuple[Duration, Duration]


class Stream(Generic[T]):
    """Records on their way; ``T`` is what they are."""

    def __init__(self, stage: "Stage", node: Node, kinds: Kinds) -> None:
        """``kinds`` are the types of the values, where they are known: a store must know them."""
        self._stage = stage
        self._node = node
        self._kinds = kinds

    def of(self, kind: type[U]) -> "Stream[U]":
        """The records of one type; several types can share a topic.

        Raises ``TopologyError`` where the stream has none of them.
        """
        if self._kinds is not None and not any(related(known, kind) for known in self._kinds):
            raise TopologyError(
                f"stage {self._stage.name}: of({kind.__name__}) of a stream of "
                f"{' | '.join(getattr(known, '__name__', str(known)) for known in self._kinds)}, which has none: name "
                "one of these, or read another topic"
            )
        return self._then(OfType(kind), (kind,))

    def map(self, function: Callable[[T], U], *, type: Any = None) -> "Stream[U]":
        """One value of each. ``type`` is what it is, for state further on, where the function is not annotated."""
        self._not_async("map", function)
        return self._then(Map(function), returned(function, type))

    def filter(self, function: Callable[[T], bool]) -> "Stream[T]":
        """The values for which the function says so."""
        self._not_async("filter", function)
        return self._then(Filter(function), self._kinds)

    def flat_map(self, function: Callable[[T], Iterable[U]], *, type: Any = None) -> "Stream[U]":
        """Any number of values of each. ``type`` is that of one value, as in ``map``."""
        self._not_async("flat_map", function)
        return self._then(FlatMap(function), yielded((function,), type))

    def branch(self, *functions: Callable[[T], bool]) -> "tuple[Stream[T], ...]":
        """A stream for each function; a value goes to the first that takes it, and nowhere if none does."""
        self._not_async("branch", *functions)
        node = Branch(functions)
        self._node.then(node)
        return tuple(Stream(self._stage, port, self._kinds) for port in node.ports)

    def merge(self, *others: "Stream[U]") -> "Stream[T | U]":
        """The values of all these streams of one stage, in the order in which they come."""
        for other in others:
            self._same_stage(other._stage, "merge")
        node = Port("merge")
        kinds: Kinds = ()
        for stream in (self, *others):
            stream._node.then(node)
            kinds = None if kinds is None or stream._kinds is None else (*kinds, *stream._kinds)
        return Stream(self._stage, node, None if kinds is None else tuple(dict.fromkeys(kinds)))

    def peek(self, function: Callable[[T], object]) -> "Stream[T]":
        """A look at each value on its way, for a log or a count."""
        self._not_async("peek", function)
        return self._then(Peek(function), self._kinds)

    def batch(self, max_size: int, within: Duration = 0) -> "Stream[Sequence[T]]":
        """Lists of up to ``max_size`` values of any keys; the first one waits ``within`` for company.

        A list is not of one key: go on with functions, or to a topic. A record that fails is found alone.
        """
        if max_size < 1:
            raise ValueError(f"a batch of {max_size} records: let max_size be 1 or more")
        return self._then(Batched(max_size, parse_duration(within)), None)

    def map_async(
        self, function: Callable[[T], Awaitable[U]], *, concurrency: int = 16, order: Order = "key", type: Any = None
    ) -> "Stream[U]":
        """One awaited value of each, up to ``concurrency`` of them under way at once.

        ``order="key"`` has one of a key under way at a time and so keeps their order; ``"none"`` does not. Offsets are
        committed up to the oldest message that is not done.
        """
        if concurrency < 1:
            raise ValueError(f"concurrency={concurrency}: let it be 1 or more")
        return self._then(MapAsync(function, concurrency, order), returned(function, type))

    @overload
    def process(
        self,
        function: Callable[[T, State[S]], list[U]] | Callable[[T, State[S]], Awaitable[list[U]]],
        *,
        state: Store[S],
        every: Every | Sequence[Every] = (),
        type: Any = None,
    ) -> "Stream[U]": ...

    @overload
    def process(
        self,
        function: Callable[[T, State[S]], Awaitable[U | None]],
        *,
        state: Store[S],
        every: Every | Sequence[Every] = (),
        type: Any = None,
    ) -> "Stream[U]": ...

    @overload
    def process(
        self,
        function: Callable[[T, State[S]], U | None],
        *,
        state: Store[S],
        every: Every | Sequence[Every] = (),
        type: Any = None,
    ) -> "Stream[U]": ...

    def process(
        self,
        function: Callable[[T, State[S]], Any],
        *,
        state: Store[S],
        every: Every | Sequence[Every] = (),
        type: Any = None,
    ) -> "Stream[Any]":
        """A function, sync or async, of each value and the state of its key: it returns a value, a list, or ``None``.

        ``every`` are punctuators: functions of a time and a state, called for each key, that return the same.
        """
        punctuators = (every,) if isinstance(every, Every) else tuple(every)
        made = yielded((function, *(punctuator.function for punctuator in punctuators)), type)
        return self._then(Process(state, function, punctuators), made)

    def key_by(self, function: "Callable[[T], str]", *, name: str) -> "Stream[T]":
        """The records under another key, by way of the repartition topic ``STAGE-NAME-repartition``.

        The values must be records of one Avro schema or several. What a replay sends a second time is passed over. A
        record for which ``function`` gives no text, such as ``None``, is set aside by the error policy.
        """
        kinds = self._kinds
        if not kinds or not all(isinstance(kind, type) and issubclass(kind, Record) for kind in kinds):
            raise TopologyError(
                f"stage {self._stage.name}: key_by {name!r} sends its values through a topic, so they must be records "
                "of a known type: narrow them with .of(Type), or say what map returns with type="
            )
        topic: Topic[Any] = Topic(f"{self._stage.name}-{name}-repartition", *kinds)
        copies = self._stage.stream(topic, idle=_idle(self._node))
        if getattr(copies._node, "topic", None) is not topic:
            raise TopologyError(
                f"stage {self._stage.name}: there are two key_by named {name!r}, and both would write to {topic.name}: "
                "give each a name of its own"
            )
        self._node.then(To(topic, function, traced=True))
        return copies

    def through(self, topic: "Topic[R]") -> "Stream[R]":
        """Write the records to ``topic``, and go on with what comes from there."""
        self._node.then(To(topic, None, traced=True))
        return self._stage.stream(topic, idle=_idle(self._node))

    def to(self, topic: "Topic[Any]", *, key: Callable[[T], str] | None = None) -> None:
        """Write the records to ``topic``, under their own key or the one that ``key`` gives."""
        for kind in self._kinds or ():
            if isinstance(kind, type) and not any(issubclass(kind, t) for t in topic.types):
                raise TopologyError(
                    f"stage {self._stage.name}: a stream of {kind.__name__} goes to topic {topic.name}, which carries "
                    f"{', '.join(t.__name__ for t in topic.types)}: map it to one of them, or name another topic"
                )
        self._node.then(To(topic, key))

    def foreach(self, function: Callable[[T], object]) -> None:
        """Hand each value to a function, sync or async: the end of the stream."""
        self._node.then(ForEach(function))

    def to_table(self, name: str, *, ttl: Duration | None = None) -> "Table[T]":
        """The latest value of each key, kept in the store ``STAGE-NAME``; ``ttl`` is as in ``Stage.table``."""
        kind = self._kind(f"table {name!r}")
        node = Materialised(self._stage.store(name, kind, ttl=ttl))
        self._node.then(node)
        return Table(self._stage, node, kind)

    @overload
    def aggregate(self, initial: Aggregator[T, Any, U], *, name: str, ttl: Duration | None = None) -> Table[U]: ...

    @overload
    def aggregate(
        self,
        initial: Callable[[], S],
        add: Callable[[S, T], S],
        *,
        name: str,
        type: Any = None,
        ttl: Duration | None = None,
    ) -> Table[S]: ...

    def aggregate(
        self, initial: Any, add: Any = None, *, name: str, type: Any = None, ttl: Duration | None = None
    ) -> Table[Any]:
        """A table of what is made of all records of each key, kept in the store ``STAGE-NAME``.

        Give an aggregator, such as ``Mean(of)``, or a function that makes an empty state and one that adds a record.
        A key whose aggregate has not changed for ``ttl`` of wall-clock time begins anew with its next record.
        """
        aggregator = aggregator_of(initial, add, None, type)
        node = Aggregate(self._stage.store(name, aggregator.state_type, ttl=ttl), aggregator)
        self._node.then(node)
        return Table(self._stage, node, None)

    def count(self, *, name: str, ttl: Duration | None = None) -> Table[int]:
        """A table of the number of records of each key; ``ttl`` is as in ``aggregate``."""
        return self.aggregate(Count(), name=name, ttl=ttl)

    def reduce(self, function: "Callable[[T, T], T]", *, name: str, ttl: Duration | None = None) -> "Table[T]":
        """A table of what ``function`` makes of a key's records, two at a time; ``ttl`` is as in ``aggregate``."""
        return self.aggregate(Reduce(function, self._kind(f"reduce {name!r}")), name=name, ttl=ttl)

    def window(
        self, windows: Windows, *, name: str, close: Close = "partition", ttl: Duration | None = None
    ) -> "WindowedStream[T]":
        """The records of each key by windows of event time, kept in the store ``STAGE-NAME``.

        A window closes when the event time of its partition is past its end and grace; with ``close="key"`` when that
        of its key is. Where no record comes for the ``idle`` of ``Stage.stream``, event time goes on at the clock's
        pace, so that a quiet partition, or key, closes too.

        With ``close="key"`` the event time of each key is kept, for ever unless there is a ``ttl``: then a key without
        open windows is forgotten when that much of wall-clock time has gone by since its last change. An older record
        that comes after that is not late, and opens its window again. Raises ``TopologyError`` for a ``ttl`` without
        ``close="key"``.
        """
        if ttl is not None and close != "key":
            raise TopologyError(
                f"stage {self._stage.name}, window {name!r}: of a key whose windows are closed nothing is kept, so a "
                'ttl is for close="key" only'
            )
        if not hasattr(windows, "check"):
            raise TopologyError(
                f"stage {self._stage.name}, window {name!r}: {windows!r} is no kind of window: give tumbling(...), "
                "hopping(...), sliding(...) or session(...)"
            )
        return WindowedStream(self._stage, self._node, self._kinds, windows, name, close, ttl)

    @overload
    def join(self, other: Table[U], function: Callable[[T, U], V]) -> "Stream[V]": ...

    @overload
    def join(self, other: GlobalTable[R], function: Callable[[T, R], V], *, on: Callable[[T], str]) -> "Stream[V]": ...

    @overload
    def join(
        self,
        other: "Stream[U]",
        function: Callable[[T, U], V],
        *,
        within: Interval,
        name: str,
        grace: Duration = 0,
    ) -> "JoinedStream[V, T | U]": ...

    def join(self, other: Any, function: Callable[[T, Any], V], **how: Any) -> "Stream[V]":
        """Each record with its partner: what a table has of its key, or what comes of another stream near it in time.

        Records without one are left out. ``within`` is how far apart in event time two records may be, or from how far
        before to how far after the left one: ``("0s", "5s")``. ``grace`` is how late a record may come. ``on`` says
        which key of a global table is meant.
        """
        return self._join(other, function, "inner", **how)

    @overload
    def left_join(self, other: Table[U], function: Callable[[T, U | None], V]) -> "Stream[V]": ...

    @overload
    def left_join(
        self, other: GlobalTable[R], function: Callable[[T, R | None], V], *, on: Callable[[T], str]
    ) -> "Stream[V]": ...

    @overload
    def left_join(
        self,
        other: "Stream[U]",
        function: Callable[[T, U | None], V],
        *,
        within: Interval,
        name: str,
        grace: Duration = 0,
    ) -> "JoinedStream[V, T | U]": ...

    def left_join(self, other: Any, function: Callable[[T, Any], V], **how: Any) -> "Stream[V]":
        """As ``join``, and each record of the left without a partner once, with ``None``; of a stream after grace."""
        return self._join(other, function, "left", **how)

    def outer_join(
        self,
        other: "Stream[U]",
        function: Callable[[T | None, U | None], V],
        *,
        within: Interval,
        name: str,
        grace: Duration = 0,
    ) -> "JoinedStream[V, T | U]":
        """As ``left_join``, and each record of the right without a partner too."""
        return self._join_stream(other, function, "outer", within, name, grace)

    def as_of_join(
        self,
        other: "Stream[U]",
        function: Callable[[T, U | None], V],
        *,
        name: str,
        tolerance: Duration | None = None,
        grace: Duration = 0,
        how: Literal["inner", "left"] = "left",
    ) -> "JoinedStream[V, T | U]":
        """Each record with the latest of ``other`` that is not later than itself, and at most ``tolerance`` older.

        It is out when event time is past the record and ``grace``, so that a partner may come late.
        """
        tolerance_ms = None if tolerance is None else parse_duration(tolerance)
        join = AsOfJoin(how, grace_ms=parse_duration(grace), tolerance_ms=tolerance_ms)
        return self._join_by(other, function, join, name, f"{how} as-of join")

    def _kind(self, what: str) -> Any:
        return only_kind(self._stage, self._kinds, what)

    def _join(self, other: Any, function: Callable[..., V], how: How, **options: Any) -> "Stream[V]":
        self._check_join(other, options)
        if isinstance(other, Table):
            self._same_stage(other.stage, "join")
            node = LookUp(other.view.look_up, function, how)
            other.feeds(node)
            return self._then(node, returned(function, None))
        if isinstance(other, GlobalTable):
            return self._then(LookUpBy(other.look_up, function, how, options["on"]), returned(function, None))
        return self._join_stream(other, function, how, **options)

    def _check_join(self, other: Any, options: dict[str, Any]) -> None:
        """Refuse a join that lacks an option, or has one that has no meaning: of the three kinds each has its own."""
        if isinstance(other, Table):
            kind, needed, known = "a table", set(), set()
        elif isinstance(other, GlobalTable):
            kind, needed, known = "a global table", {"on"}, {"on"}
        elif isinstance(other, Stream):
            kind, needed, known = "another stream", {"within", "name"}, {"within", "name", "grace"}
        else:
            raise TopologyError(f"stage {self._stage.name}: join of {other!r}: give a stream or a table")
        if missing := ", ".join(f"{name}=" for name in sorted(needed - options.keys())):
            raise TopologyError(f"stage {self._stage.name}: a join of {kind} needs {missing}")
        if unknown := ", ".join(f"{name}=" for name in sorted(options.keys() - known)):
            raise TopologyError(f"stage {self._stage.name}: a join of {kind} has no {unknown}")

    def _not_async(self, operator: str, *functions: Callable[..., Any]) -> None:
        for function in functions:
            if inspect.iscoroutinefunction(function):
                raise TopologyError(
                    f"stage {self._stage.name}: {operator} does not await, and {function.__name__} is async: use "
                    "map_async, process or foreach"
                )

    def _join_stream(
        self, other: "Stream[U]", function: Callable[..., V], how: How, within: Interval, name: str, grace: Duration = 0
    ) -> "JoinedStream[V, T | U]":
        before, after = within if isinstance(within, tuple) else (within, within)
        join = WindowedJoin(Within(parse_duration(before), parse_duration(after), parse_duration(grace)), how)
        return self._join_by(other, function, join, name, f"{how} join of streams")

    def _join_by(
        self, other: "Stream[U]", function: Callable[..., V], join: StreamJoin, name: str, label: str
    ) -> "JoinedStream[V, T | U]":
        self._same_stage(other._stage, "join")
        left, right = self._kind(f"left of join {name!r}"), other._kind(f"right of join {name!r}")
        store: Store[Any] = self._stage.store(name, Buffers[left, right])  # type: ignore[valid-type]
        node = Join(store, join, function, label)
        self._node.then(node.left)
        other._node.then(node.right)
        return JoinedStream(self._stage, node, returned(function, None), tuple(dict.fromkeys((left, right))))

    def _then(self, node: Node, kinds: Kinds) -> "Stream[Any]":
        self._node.then(node)
        return Stream(self._stage, node, kinds)

    def _same_stage(self, other: "Stage", what: str) -> None:
        if other is not self._stage:
            raise TopologyError(
                f"{what}: one side is of stage {self._stage.name}, the other of {other.name}: let one of them write to "
                "a topic, and read that"
            )


class JoinedStream(Stream[V], Generic[V, U]):
    """The results of a join of streams, and the records that came too late for it."""

    def __init__(self, stage: "Stage", node: Join, kinds: Kinds, of_sides: tuple[Any, ...]) -> None:
        super().__init__(stage, node.joined, kinds)
        self._join_node = node
        self._of_sides = of_sides

    def late(self) -> "Stream[U]":
        """The records of both sides that came behind event time and grace.

        ``voicestream_late_records_total`` counts them.
        """
        return Stream(self._stage, self._join_node.late, self._of_sides)


def _idle(node: Node) -> int | None:
    """The ``idle`` of the streams that a node is fed by, for one that goes on behind a topic."""
    if isinstance(node, Source):
        return node.idle_ms
    found = [_idle(parent) for parent in node.parents]
    return None if None in found else max(ms for ms in found if ms is not None)
