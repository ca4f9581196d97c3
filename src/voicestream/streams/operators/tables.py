"""Tables in the graph: the latest value of each key, and what follows from a change of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from voicestream.streams.aggregators import Aggregator
from voicestream.streams.joins.rows import How
from voicestream.streams.joins.tables import Outcome, Sides, change
from voicestream.streams.operators.keyed import KeyedNode, snapshot
from voicestream.streams.operators.node import Item, Node, Run
from voicestream.streams.state.store import Store


class Change(NamedTuple):
    """What a key had in a table, and what it has now; ``None``: nothing."""

    old: Any
    new: Any


class KeyedView(Node):
    """What can be looked up by key: a table, or what is computed of one."""

    def look_up(self, partition: int, key: str) -> Any:
        """The value of ``key``; ``None`` where there is none."""
        raise NotImplementedError


class Materialised(KeyedNode[Any], KeyedView):
    """A table that is kept: the latest value of each key; ``None`` removes it."""

    label = "table"

    def look_up(self, partition: int, key: str) -> Any:
        return self._store.open(partition, key).value

    async def process(self, items: list[Item], run: Run) -> None:
        changes: list[Item] = []
        tell = bool(self.children)
        for item in items:
            state = self.take(item, run)
            if state is None:
                continue
            kept = self.kept(item, state)
            try:
                old = self.shown(state.value) if tell else None
                state.value = self.updated(state.value, item.value)
                if tell:
                    changes.append(item._replace(value=Change(old, self.shown(state.value))))
            except Exception as error:
                self.put_back(item, state, kept)
                run.fail(self, item, error)
        await self.emit(changes, run)

    def updated(self, old: Any, value: Any) -> Any:
        """What the store keeps once ``value`` has come."""
        return value

    def shown(self, kept: Any) -> Any:
        """The value of the table, of what the store keeps."""
        return kept


class Aggregate(Materialised):
    """A table of what an aggregator makes of all records of a key."""

    def __init__(self, store: Store[Any], aggregator: Aggregator[Any, Any, Any]) -> None:
        super().__init__(store)
        self._aggregator = aggregator
        self.label = f"aggregate {type(aggregator).__name__}"

    def look_up(self, partition: int, key: str) -> Any:
        return self.shown(super().look_up(partition, key))

    def updated(self, old: Any, value: Any) -> Any:
        return self._aggregator.add(self._aggregator.new() if old is None else old, value)

    def shown(self, kept: Any) -> Any:
        return None if kept is None else snapshot(self._aggregator.result(kept))


class MapTable(KeyedView):
    """A table of what a function makes of each value of another; ``None`` of it: the key has none."""

    label = "table map"

    def __init__(self, parent: KeyedView, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._parent = parent
        self._function = function

    def look_up(self, partition: int, key: str) -> Any:
        return self._made(self._parent.look_up(partition, key))

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        made = []
        for item in items:
            try:
                new = Change(self._made(item.value.old), self._made(item.value.new))
            except Exception as error:
                run.fail(self, item, error)
                continue
            if new != (None, None):
                made.append(item._replace(value=new))
        return made

    def _made(self, value: Any) -> Any:
        return None if value is None else self._function(value)


class JoinTables(KeyedView):
    """A table of the pairs of two others, kept nowhere: both sides are looked up when one changes."""

    by_two = True

    def __init__(self, left: KeyedView, right: KeyedView, function: Callable[[Any, Any], Any], how: How) -> None:
        super().__init__()
        self.label = f"{how} join of tables"
        self.left = _Side(self, right, of_left=True)
        self.right = _Side(self, left, of_left=False)
        self._views = left, right
        self._function = function
        self.how = how

    def look_up(self, partition: int, key: str) -> Any:
        return self._result(Sides(*(view.look_up(partition, key) for view in self._views)))

    def joined(self, old: Sides[Any, Any], new: Sides[Any, Any]) -> Change | None:
        """The change of the joined table that follows from that of a side."""
        if change(self.how, old, new) is Outcome.NOTHING:
            return None
        return Change(self._result(old), self._result(new))

    def _result(self, sides: Sides[Any, Any]) -> Any:
        has_one = change(self.how, Sides(), sides) is Outcome.RESULT
        return self._function(sides.left, sides.right) if has_one else None


class _Side(Node):
    """Where the changes of one of two joined tables come in."""

    def __init__(self, join: JoinTables, other: KeyedView, of_left: bool) -> None:
        super().__init__()
        self.label = join.label
        self._join = join
        self._other = other
        self._of_left = of_left
        self.then(join)

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        made = []
        for item in items:
            try:
                other = self._other.look_up(item.partition, item.key)
                sides = [Sides(mine, other) if self._of_left else Sides(other, mine) for mine in item.value]
                result = self._join.joined(*sides)
            except Exception as error:
                run.fail(self, item, error)
                continue
            if result is not None:
                made.append(item._replace(value=result))
        return made


class Changes(Node):
    """What a table has now, change by change; without ``tombstones``, of the keys that have something."""

    label = "changes"

    def __init__(self, tombstones: bool) -> None:
        super().__init__()
        self._tombstones = tombstones

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        return [item._replace(value=item.value.new) for item in items if self._tombstones or item.value.new is not None]


class LookUp(Node):
    """A join of a stream with a table: each record with what the table has of its key when it comes."""

    def __init__(self, look_up: Callable[[int, str], Any], function: Callable[[Any, Any], Any], how: How) -> None:
        super().__init__()
        self.label = f"{how} join with a table"
        self._look_up = look_up
        self._function = function
        self._inner = how == "inner"

    def apply(self, items: list[Item], run: Run) -> list[Item]:
        made = []
        for item in items:
            try:
                found = self._look_up(item.partition, self.key(item))
                if found is not None or not self._inner:
                    made.append(item._replace(value=self._function(item.value, found)))
            except Exception as error:
                run.fail(self, item, error)
        return made

    def key(self, item: Item) -> str:
        """The key to look up."""
        return item.key


class LookUpBy(LookUp):
    """A join with a global table, by any key of the record."""

    def __init__(
        self,
        look_up: Callable[[int, str], Any],
        function: Callable[[Any, Any], Any],
        how: How,
        on: Callable[[Any], str],
    ) -> None:
        super().__init__(look_up, function, how)
        self.label = f"{how} join with a global table"
        self._on = on

    def key(self, item: Item) -> str:
        return self._on(item.value)
