"""Joins of two streams in the graph: what ``voicestream.streams.joins`` computes, kept in a store."""

from collections.abc import Callable
from typing import Any

from voicestream.streams.joins.rows import Buffers, Joined, StreamJoin
from voicestream.streams.operators.keyed import TimedNode
from voicestream.streams.operators.node import Item, Node, Port, Run, by_time
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.state.store import State, Store


class Join(TimedNode[Buffers[Any, Any]]):
    """Joins the records of two streams that have a key in common and are near each other in time."""

    def __init__(
        self, store: Store[Buffers[Any, Any]], join: StreamJoin, function: Callable[[Any, Any], Any], label: str
    ) -> None:
        super().__init__(store)
        self.label = label
        self.left = _Side(self, of_left=True)
        self.right = _Side(self, of_left=False)
        self.joined = Port("joined")
        self.late = Port("late")
        self.then(self.joined)
        self.then(self.late)
        self.delay_ms = self.joined.delay_ms = join.delay_ms
        self._join = join
        self._function = function
        self._late = METRICS.late.labels(store.name)

    async def side(self, of_left: bool, items: list[Item], run: Run) -> None:
        """Take records of one side."""
        add = self._join.add_left if of_left else self._join.add_right
        made: list[Item] = []
        late: list[Item] = []
        for item in items:
            key, value, time_ms, watermark_ms, partition, source = item
            mark_ms = watermark_ms - self.behind_ms
            if self.deadlines(partition).next_ms <= mark_ms:
                made += self.expired(partition, mark_ms, by_time(source), run)
            state = self.take(item, run)
            if state is None:
                continue
            kept = self.kept(item, state)
            if state.value is None:
                state.value = Buffers()
            try:
                joined: Joined[Any, Any] = add(state.value, value, time_ms, mark_ms)
                if joined.late:
                    late.append(item)
                pairs = [
                    Item(key, self._function(left, right), at_ms, watermark_ms, partition, source)
                    for left, right, at_ms in joined.pairs
                ]
            except Exception as error:
                self.put_back(item, state, kept)
                run.fail(self, item, error)
                continue
            made += pairs
            if state.value.empty:
                state.value = None
            self.schedule(state)
        if late:
            self._late.inc(len(late))
        await self.late.emit(late, run)
        await self.joined.emit(made, run)

    def deadline(self, state: State[Buffers[Any, Any]]) -> int | None:
        return self._join.deadline(state.value) if state.value is not None else None

    def expire(self, state: State[Buffers[Any, Any]], mark_ms: int) -> list[tuple[Any, int]]:
        if state.value is None:
            return []
        pairs = self._join.expire(state.value, mark_ms)
        if state.value.empty:
            state.value = None
        return [((left, right), time_ms) for left, right, time_ms in pairs]

    async def emit_expired(self, items: list[Item], run: Run) -> None:
        await self.joined.emit(items, run)

    def made(self, items: list[Item], run: Run) -> list[Item]:
        made = []
        for item in items:
            try:
                made.append(item._replace(value=self._function(*item.value)))
            except Exception as error:
                run.fail(self, item, error)
        return made


class _Side(Node):
    """Where the records of one of two joined streams come in."""

    def __init__(self, join: Join, of_left: bool) -> None:
        super().__init__()
        self.label = f"{'left' if of_left else 'right'} of {join.label}"
        self._join = join
        self._of_left = of_left
        self.then(join)

    async def process(self, items: list[Item], run: Run) -> None:
        await self._join.side(self._of_left, items, run)
