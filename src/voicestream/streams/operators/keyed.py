"""Operators with state: an entry a key of a store, changed once however often a message comes."""

import copy
import heapq
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from voicestream.streams.durations import Duration, parse_duration
from voicestream.streams.message import Message
from voicestream.streams.operators.node import Item, Node, Run, by_time
from voicestream.streams.state.store import Fence, State, Store

S = TypeVar("S")

NEVER = 1 << 62
_SPARE = 1_000  # hints that are out of date, before they are thrown away

_PLAIN = (int, float, str, bytes, bool, type(None))


class _Opened(NamedTuple):
    """An entry at work in a run: with what it had applied before, and what it has now."""

    state: State[Any]
    before: Fence
    applied: Fence

    def note(self, message: Message) -> None:
        """The entry has applied ``message``."""
        if message.offset > self.applied.get(message.topic, -1):
            self.applied[message.topic] = message.offset


class KeyedNode(Node, Generic[S]):
    """A node that keeps an entry a key."""

    def __init__(self, store: Store[S]) -> None:
        super().__init__()
        self._store = store
        self._opened: dict[tuple[int, str], _Opened] = {}

    @property
    def store(self) -> Store[S]:
        return self._store

    def open(self, partition: int, key: str, message: Message | None = None) -> State[S]:
        """The entry of ``key``, which ``message`` changes; it is saved when the run is over."""
        opened = self._enter(partition, key)
        if message is not None:
            opened.note(message)
        return opened.state

    def take(self, item: Item, run: Run) -> State[S] | None:
        """The entry of the key of ``item``; ``None`` where the store or the entry has applied its message before."""
        if ~by_time(item.source) in run.stale(self._store):
            return None
        opened = self._enter(item.partition, item.key)
        message = run.message(item.source)
        if message is not None:
            if opened.before.get(message.topic, -1) >= message.offset:
                return None
            opened.note(message)
        return opened.state

    def kept(self, item: Item, state: State[S]) -> S | None:
        """The value of the entry, for ``put_back``: where no message is to blame, no run is made again without it."""
        return copy.deepcopy(state.value) if item.source < 0 else None

    def put_back(self, item: Item, state: State[S], kept: S | None) -> None:
        """Leave no trace of an item that failed."""
        if item.source < 0:
            state.value = kept

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
            if len(self._heap) > 2 * len(self._known) + _SPARE:  # a session moves its deadline with every record
                self._heap = [(ms, waiting) for waiting, ms in self._known.items()]
                heapq.heapify(self._heap)

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

    def expire(self, state: State[S], mark_ms: int) -> list[tuple[Any, int]]:
        """What is due, each with its event time; changes the entry."""
        raise NotImplementedError

    def made(self, items: list[Item], run: Run) -> list[Item]:
        """The results of what was due."""
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

    def expired(self, partition: int, mark_ms: int, source: int, run: Run) -> list[Item]:
        """What is due in a partition, in order of time.

        Each result has the event time that it was due at, though time may have made a leap since: so the next node
        takes it before it closes what the leap brings to an end.
        """
        items: list[Item] = []
        for key in self.deadlines(partition).due(mark_ms):
            state = self.open(partition, key, run.message(source))
            for value, time_ms in self.expire(state, mark_ms):
                due_ms = min(mark_ms, time_ms + self.delay_ms) + self.behind_ms
                items.append(Item(key, value, time_ms, due_ms, partition, source))
            self.schedule(state)
        items.sort(key=_time_and_key)
        return self.made(items, run)

    def due(self, partition: int, watermark_ms: int) -> bool:
        return self.deadlines(partition).next_ms <= watermark_ms - self.behind_ms

    async def advance(self, partition: int, watermark_ms: int, source: int, run: Run) -> None:
        if self.due(partition, watermark_ms):
            await self.emit_expired(self.expired(partition, watermark_ms - self.behind_ms, source, run), run)

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
    interval_ms: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval_ms", parse_duration(self.interval))  # once, not with every record


class Process(KeyedNode[S]):
    """``process``: a function of a value and the state of its key, and punctuators over all keys."""

    label = "process"

    def __init__(self, store: Store[S], function: Callable[[Any, State[S]], Any], every: Sequence[Every] = ()) -> None:
        super().__init__(store)
        self._function = function
        self._by_wall = [punctuator for punctuator in every if punctuator.time == "wall"]
        self.by_stream = [punctuator for punctuator in every if punctuator.time == "stream"]
        self._fired: dict[tuple[str, int], int] = {}
        self._fired_before: dict[tuple[str, int], int] | None = None  # when the run began
        self._partitions: Sequence[int] = ()

    async def process(self, items: list[Item], run: Run) -> None:
        made: list[Item] = []
        for item in items:
            if self.by_stream:
                made += await self._punctuate(item.partition, item.watermark_ms, by_time(item.source), run)
            state = self.take(item, run)
            if state is None:
                continue
            kept = self.kept(item, state)
            try:
                result = self._function(item.value, state)
                if inspect.isawaitable(result):
                    result = await result
            except Exception as error:
                self.put_back(item, state, kept)
                run.fail(self, item, error)
            else:
                made += [item._replace(value=value) for value in several(result)]
        await self.emit(made, run)

    def due(self, partition: int, watermark_ms: int) -> bool:
        mark_ms = watermark_ms - self.behind_ms
        return any(self._is_due(number, partition, mark_ms) for number in range(len(self.by_stream)))

    async def advance(self, partition: int, watermark_ms: int, source: int, run: Run) -> None:
        await self.emit(await self._punctuate(partition, watermark_ms, source, run), run)

    async def tick(self, run: Run) -> None:
        for number, every in enumerate(self._by_wall):
            for partition in self._partitions:
                begun_ms = run.now_ms - run.now_ms % every.interval_ms
                if begun_ms > self._fired.setdefault((f"wall {number}", partition), begun_ms):
                    self._note(f"wall {number}", partition, begun_ms)
                    await self.emit(await self._fire(every, partition, run.now_ms, run.now_ms, -1, run), run)

    async def _punctuate(self, partition: int, watermark_ms: int, source: int, run: Run) -> list[Item]:
        """What the punctuators made for which event time has come."""
        mark_ms = watermark_ms - self.behind_ms
        made: list[Item] = []
        for number, every in enumerate(self.by_stream):
            if self._is_due(number, partition, mark_ms):
                self._note(_place(number), partition, mark_ms - mark_ms % every.interval_ms)
                made += await self._fire(every, partition, mark_ms, watermark_ms, source, run)
        return made

    def _is_due(self, number: int, partition: int, mark_ms: int) -> bool:
        if mark_ms < 0:
            return False  # nothing is known of event time
        place, begun_ms = (_place(number), partition), mark_ms - mark_ms % self.by_stream[number].interval_ms
        fired_ms = self._fired.get(place)
        if fired_ms is None:
            self._note(*place, begun_ms)
        return fired_ms is not None and begun_ms > fired_ms

    def _note(self, punctuator: str, partition: int, begun_ms: int) -> None:
        if self._fired_before is None:
            self._fired_before = dict(self._fired)
        self._fired[punctuator, partition] = begun_ms

    async def _fire(
        self, every: Every, partition: int, now_ms: int, watermark_ms: int, source: int, run: Run
    ) -> list[Item]:
        """Call a punctuator for each key, in order; what it returned."""
        made: list[Item] = []
        message = run.message(source)
        here = [key for number, key in self._opened if number == partition]  # some of them new to the store
        for key in sorted({*self._store.keys(partition), *here}):
            at_work = (partition, key) in self._opened
            opened = self._enter(partition, key)
            if message is None or opened.before.get(message.topic, -1) < message.offset:  # else it was saved with this
                state = self.open(partition, key, message)
                item = Item(key, None, now_ms, watermark_ms, partition, source)
                made += [item._replace(value=value) for value in await self._call(every, state, item, run)]
            if not at_work and self._store.let_go(opened.state):
                del self._opened[partition, key]  # so that not all entries are in memory at once
        return made

    async def _call(self, every: Every, state: State[S], item: Item, run: Run) -> Iterable[Any]:
        """What a punctuator returned for a key."""
        if state.value is None:
            return ()
        before = copy.deepcopy(state.value)
        try:
            result = every.function(item.time_ms, state)
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:
            state.value = before
            run.fail(self, item, error)
            return ()
        return several(result)

    def recovered(self, partitions: Sequence[int], now_ms: int) -> None:
        self._partitions = partitions
        self._fired_before = None
        self._fired = {
            (_place(number), partition): self._store.meta(partition).stream_ms[_place(number)]
            for number in range(len(self.by_stream))
            for partition in partitions
            if _place(number) in self._store.meta(partition).stream_ms
        }

    def aborted(self) -> None:
        super().aborted()
        if self._fired_before is not None:
            self._fired, self._fired_before = self._fired_before, None

    def finish(self) -> None:
        super().finish()
        if self._fired_before is not None:
            self._fired_before = None
            for (place, partition), begun_ms in self._fired.items():
                if place.startswith(_PLACE):
                    self._store.meta(partition).stream_ms[place] = begun_ms


_PLACE = "|"  # no name of a topic: where a store remembers when a punctuator fired


def _place(number: int) -> str:
    return f"{_PLACE}{number}"


def _time_and_key(item: Item) -> tuple[int, str]:
    return item.time_ms, item.key


def several(result: Any) -> Iterable[Any]:
    """What a function returned, as any number of values: none, one, or a list of them."""
    if result is None:
        return ()
    return [value for value in result if value is not None] if isinstance(result, list | tuple) else (result,)


def snapshot(value: S) -> S:
    """A value that is handed on while the state that it comes of goes on changing."""
    return value if isinstance(value, _PLAIN) else copy.deepcopy(value)
