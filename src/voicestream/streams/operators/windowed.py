"""Windows in the graph: what ``voicestream.streams.windows`` computes, kept in a store and closed by event time."""

from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from voicestream.streams.aggregators import Aggregator
from voicestream.streams.operators.keyed import TimedNode, snapshot
from voicestream.streams.operators.node import Item, Port, Run, by_time
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.state.store import State, Store
from voicestream.streams.windows import Pane, Windowed, Windows
from voicestream.streams.windows.panes import OPEN
from voicestream.streams.windows.slides import Sliding

A = TypeVar("A")

Close = Literal["partition", "key"]

_BEGINNING = -(1 << 62)


class OpenWindow(msgspec.Struct, Generic[A], frozen=True):
    """A window that is not closed, as a query of its store shows it; bounds as in ``Windowed``."""

    start_ms: int
    end_ms: int
    state: A
    """The aggregator's: what it makes its result of."""


class KeyWindows(msgspec.Struct, Generic[A], array_like=True):
    """The open windows of one key; ``stream_ms`` is the highest event time of the key."""

    panes: list[Pane[A]] = []
    stream_ms: int = _BEGINNING

    def open(self) -> list[OpenWindow[A]]:
        """The windows, without what is kept beside them."""
        return [OpenWindow(pane.start_ms, pane.end_ms, pane.state) for pane in self.panes if pane.stage == OPEN]


class Window(TimedNode[KeyWindows[Any]]):
    """Aggregates the records of each window of each key.

    Windows close when the watermark of the partition is past their end and grace, or with ``close="key"`` when that of
    the key alone is. A partition (a key) that is quiet for the ``idle`` of its sources goes on at the clock's pace.
    """

    def __init__(
        self,
        store: Store[KeyWindows[Any]],
        windows: Windows,
        aggregator: Aggregator[Any, Any, Any],
        close: Close,
    ) -> None:
        super().__init__(store)
        self.label = f"window {windows}: {type(aggregator).__name__}"
        self.final = Port("final")
        self.current = Port("current")
        self.late = Port("late")
        for port in (self.final, self.current, self.late):
            self.then(port)
        self._windows = windows
        self._aggregator = aggregator
        self._by_key = close == "key"
        self._shares = isinstance(windows, Sliding)  # a closed window goes on as the source of later ones
        if not self._by_key:
            self.delay_ms = self.final.delay_ms = windows.delay_ms + windows.behind_ms
        self.idle_ms: int | None = None  # of the sources: how long a key may be quiet
        self._heard: dict[tuple[int, str], int] = {}
        self._late = METRICS.late.labels(store.name)
        store.in_use = lambda known: bool(known.panes)

    async def process(self, items: list[Item], run: Run) -> None:
        late: list[Item] = []
        current: list[Item] = []
        final: list[Item] = []
        add, aggregator, by_key = self._windows.add, self._aggregator, self._by_key
        tell = bool(self.current.children)
        for item in items:
            key, value, time_ms, watermark_ms, partition, source = item
            mark_ms = watermark_ms - self.behind_ms
            if not by_key and self.deadlines(partition).next_ms <= mark_ms:
                final += self.expired(partition, mark_ms, by_time(source), run)
            state = self.take(item, run)
            if state is None:
                continue
            kept = self.kept(item, state)
            known = state.value
            if known is None:
                known = state.value = KeyWindows()
            if by_key:
                mark_ms = known.stream_ms = max(known.stream_ms, time_ms)
                if self.idle_ms is not None:
                    self._heard[partition, key] = run.now_ms
            try:
                added = add(known.panes, value, time_ms, mark_ms, aggregator)
                if added.late:
                    late.append(item)
                elif tell:
                    current += [
                        Item(key, self._result(key, pane, False), time_ms, watermark_ms, partition, source)
                        for pane in added.changed
                    ]
            except Exception as error:
                self.put_back(item, state, kept)
                run.fail(self, item, error)
                continue
            if by_key:
                final += self._closed(state, mark_ms, watermark_ms, by_time(source), run)
            else:
                self.schedule(state)
        if late:
            self._late.inc(len(late))
        await self.late.emit(late, run)
        await self.current.emit(current, run)
        await self.emit_expired(final, run)

    def deadline(self, state: State[KeyWindows[Any]]) -> int | None:
        return self._windows.deadline(state.value.panes) if state.value is not None else None

    def expire(self, state: State[KeyWindows[Any]], mark_ms: int) -> list[tuple[Any, int]]:
        known = state.value
        if known is None:
            return []
        closed = self._windows.close(known.panes, mark_ms)
        if not known.panes and not self._by_key:
            state.value = None  # the watermark of the partition will know what is late
        return [(pane, self._windows.last_ms(pane)) for pane in closed]

    def made(self, items: list[Item], run: Run) -> list[Item]:
        made = []
        for item in items:
            try:
                made.append(item._replace(value=self._result(item.key, item.value, True)))
            except Exception as error:
                run.fail(self, item, error)
        return made

    def due(self, partition: int, watermark_ms: int) -> bool:
        return not self._by_key and super().due(partition, watermark_ms)

    async def tick(self, run: Run) -> None:
        """Close the windows of keys that are quiet: what is late then is noted first, and done at the next tick."""
        if not self._by_key or self.idle_ms is None:
            return
        final: list[Item] = []
        for (partition, key), heard_ms in list(self._heard.items()):
            quiet_ms = run.now_ms - heard_ms
            known = self._store.open(partition, key).value
            if known is None or not known.panes:
                del self._heard[partition, key]
                continue
            due_ms = self._windows.deadline(known.panes)
            if due_ms is not None and due_ms <= known.stream_ms:
                state = self.open(partition, key)
                final += self._closed(state, known.stream_ms, known.stream_ms, -1, run)
            elif due_ms is not None and quiet_ms >= self.idle_ms and due_ms <= known.stream_ms + quiet_ms:
                self.open(partition, key)
                known.stream_ms += quiet_ms
                self._heard[partition, key] = run.now_ms
        await self.emit_expired(final, run)

    def _closed(
        self, state: State[KeyWindows[Any]], mark_ms: int, watermark_ms: int, source: int, run: Run
    ) -> list[Item]:
        """The results of a key whose own time is at ``mark_ms``."""
        return self.made(
            [
                Item(state.key, pane, time_ms, watermark_ms, state.partition, source)
                for pane, time_ms in self.expire(state, mark_ms)
            ],
            run,
        )

    async def emit_expired(self, items: list[Item], run: Run) -> None:
        await self.final.emit(items, run)

    def recovered(self, partitions: Sequence[int], now_ms: int) -> None:
        self._heard.clear()
        if self._by_key and self.idle_ms is not None:
            self._heard = {(p, key): now_ms for p in partitions for key in self._store.keys(p)}
        elif not self._by_key:
            super().recovered(partitions, now_ms)

    def _result(self, key: str, pane: Pane[Any], final: bool) -> Windowed[Any]:
        value = self._aggregator.result(pane.state)
        if not final or self._shares:
            value = snapshot(value)
        return Windowed(key, pane.start_ms, pane.end_ms, value, final)
