"""Operators with state: an entry a key of a store, changed once however often a message comes."""

import copy
import heapq
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from voicestream.streams.durations import Duration, parse_duration
from voicestream.streams.operators.node import Item, Node, Run
from voicestream.streams.state import Fence, State, Store

S = TypeVar("S")

NEVER = 1 << 62

_PLAIN = (int, float, str, bytes, bool, type(None))


class _Opened(NamedTuple):
    """An entry at work in a run: with what it had applied before, and what it has now."""

    state: State[Any]
    before: Fence
    applied: Fence


class KeyedNode(Node, Generic[S]):
    """A node that keeps an entry a key."""

    def __init__(self, store: Store[S]) -> None:
        super().__init__()
        self._store = store
        self._opened: dict[tuple[int, str], _Opened] = {}

    @property
    def store(self) -> Store[S]:
        return self._store

    def open(self, partition: int, key: str) -> State[S]:
        """The entry of ``key``; it is saved when the run is over."""
        return self._enter(partition, key).state

    def take(self, item: Item, run: Run) -> State[S] | None:
        """The entry of the key of ``item``; ``None`` where it has applied the item's message before."""
        opened = self._opened.get((item.partition, item.key))
        if opened is None:
            opened = self._enter(item.partition, item.key)
        message = run.message(item)
        if message is not None:
            if opened.before.get(message.topic, -1) >= message.offset:
                return None
            opened.applied[message.topic] = message.offset
        return opened.state

    def finish(self) -> None:
        """Tell the store, before it commits, what its entries have applied."""
        for opened in self._opened.values():
            self._store.touch(opened.state, opened.applied)
        self._opened.clear()

    def aborted(self) -> None:
        self._opened.clear()

    def _enter(self, partition: int, key: str) -> _Opened:
        opened = self._opened.get((partition, key))
        if opened is None:
            state = self._store.open(partition, key)
            self._store.touch(state)
            opened = self._opened[partition, key] = _Opened(state, state._fence, {})
        return opened


class Deadlines:
    """When the entries of a partition want to be looked at again: a heap of hints, of which none is missing."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._known: dict[str, int] = {}

    @property
    def next_ms(self) -> int:
        return self._heap[0][0] if self._heap else NEVER

    def set(self, key: str, deadline_ms: int | None) -> None:
        if deadline_ms is None:
            self._known.pop(key, None)
        elif self._known.get(key) != deadline_ms:
            self._known[key] = deadline_ms
            heapq.heappush(self._heap, (deadline_ms, key))

    def due(self, watermark_ms: int) -> Iterable[str]:
        """Keys whose deadline has come, in order; each must be ``set`` again."""
        while self._heap and self._heap[0][0] <= watermark_ms:
            deadline_ms, key = heapq.heappop(self._heap)
            if self._known.get(key) == deadline_ms:
                del self._known[key]
                yield key


class TimedNode(KeyedNode[S]):
    """A node whose entries change when event time goes on: windows that close, rows without a partner."""

    def __init__(self, store: Store[S]) -> None:
        super().__init__(store)
        self._deadlines: dict[int, Deadlines] = {}
        self._looked_at: set[tuple[int, str]] = set()

    def deadline(self, state: State[S]) -> int | None:
        """The smallest watermark at which ``expire`` has something to do."""
        raise NotImplementedError

    def expire(self, state: State[S], watermark_ms: int) -> list[tuple[Any, int]]:
        """Values that are due, each with its event time; changes the entry."""
        raise NotImplementedError

    def deadlines(self, partition: int) -> Deadlines:
        found = self._deadlines.get(partition)
        if found is None:
            found = self._deadlines[partition] = Deadlines()
        return found

    def schedule(self, state: State[S]) -> None:
        """Note when the entry is to be looked at again."""
        self._looked_at.add((state.partition, state.key))
        self.deadlines(state.partition).set(state.key, self.deadline(state))

    def expired(self, partition: int, watermark_ms: int, source: int) -> list[Item]:
        """What is due in a partition, by deadline and key."""
        items: list[Item] = []
        for key in self.deadlines(partition).due(watermark_ms):
            state = self.open(partition, key)
            for value, time_ms in self.expire(state, watermark_ms):
                items.append(Item(key, value, time_ms, watermark_ms, partition, source))
            self.schedule(state)
        return items

    async def advance(self, partition: int, watermark_ms: int, run: Run) -> None:
        if self.deadlines(partition).next_ms <= watermark_ms:
            await self.emit_expired(self.expired(partition, watermark_ms, -1), run)

    async def emit_expired(self, items: list[Item], run: Run) -> None:
        """Hand on what was due."""
        await self.emit(items, run)

    def recovered(self, partitions: Sequence[int], now_ms: int) -> None:
        self._deadlines.clear()
        for partition in partitions:
            for key in self._store.keys(partition):
                state = self._store.open(partition, key)
                self.deadlines(partition).set(key, self.deadline(state))

    def aborted(self) -> None:
        super().aborted()
        for partition, key in self._looked_at:
            self.deadlines(partition).set(key, self.deadline(self._store.open(partition, key)))
        self._looked_at.clear()

    def finish(self) -> None:
        super().finish()
        self._looked_at.clear()


@dataclass(frozen=True)
class Every:
    """A punctuator of ``process``: ``function(now_ms, state)``, sync or async, for every key, each ``interval``.

    ``time`` is ``"wall"``: the clock on the wall, or ``"stream"``: event time, which stands still without records.
    """

    interval: Duration
    function: Callable[[int, State[Any]], Any]
    time: Literal["wall", "stream"] = "wall"

    @property
    def interval_ms(self) -> int:
        return parse_duration(self.interval)


class Process(KeyedNode[S]):
    """``process``: a function of a value and the state of its key, and punctuators over all keys."""

    label = "process"

    def __init__(self, store: Store[S], function: Callable[[Any, State[S]], Any], every: Sequence[Every] = ()) -> None:
        super().__init__(store)
        self._function = function
        self._by_wall = [punctuator for punctuator in every if punctuator.time == "wall"]
        self._by_stream = [punctuator for punctuator in every if punctuator.time == "stream"]
        self._fired: dict[tuple[int, int], int] = {}
        self._partitions: Sequence[int] = ()

    async def process(self, items: list[Item], run: Run) -> None:
        stale = run.stale(self._store)
        made: list[Item] = []
        for item in items:
            number = item.source if item.source >= 0 else ~item.source
            for every in self._by_stream:
                made += await self._fire(every, item.partition, item.watermark_ms, ~number, run)
            if number in stale:
                continue
            state = self.take(item, run)
            if state is None:
                continue
            try:
                result = self._function(item.value, state)
                if inspect.isawaitable(result):
                    result = await result
            except Exception as error:
                run.fail(self, item, error)
            else:
                made += [item._replace(value=value) for value in several(result)]
        await self.emit(made, run)

    async def advance(self, partition: int, watermark_ms: int, run: Run) -> None:
        for every in self._by_stream:
            await self.emit(await self._fire(every, partition, watermark_ms, -1, run), run)

    async def tick(self, run: Run) -> None:
        for every in self._by_wall:
            for partition in self._partitions:
                await self.emit(await self._fire(every, partition, run.now_ms, -1, run), run)

    async def _fire(self, every: Every, partition: int, now_ms: int, source: int, run: Run) -> list[Item]:
        """Call a punctuator for each key, where its time has come; what it returned."""
        begun_ms = now_ms - now_ms % every.interval_ms
        if begun_ms <= self._fired.setdefault((id(every), partition), begun_ms):
            return []
        self._fired[id(every), partition] = begun_ms
        made: list[Item] = []
        for key in list(self._store.keys(partition)):
            item = Item(key, None, now_ms, now_ms, partition, source)
            state = self.open(partition, key)
            before = copy.deepcopy(state.value)
            try:
                result = every.function(now_ms, state)
                if inspect.isawaitable(result):
                    result = await result
            except Exception as error:
                state.value = before
                run.fail(self, item, error)
            else:
                made += [item._replace(value=value) for value in several(result)]
        return made

    def recovered(self, partitions: Sequence[int], now_ms: int) -> None:
        self._partitions = partitions
        self._fired.clear()


def several(result: Any) -> Iterable[Any]:
    """What a function returned, as any number of values: none, one, or a list of them."""
    if result is None:
        return ()
    return [value for value in result if value is not None] if isinstance(result, list | tuple) else (result,)


def snapshot(value: S) -> S:
    """A value that is handed on while the state that it comes of goes on changing."""
    return value if isinstance(value, _PLAIN) else copy.deepcopy(value)
