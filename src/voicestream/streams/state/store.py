"""Keyed state, backed by a changelog topic, that a replay cannot count twice.

Every entry carries, in the same changelog record as its value, the source offsets that it has applied: the fence. A
record at or below the fence of its topic has been applied before, so it is refused. A worker that was killed thus
replays what it had not committed, and the state is as if it had not been killed.

Beside its entries each partition has one ``Meta``, in the same changelog partition under a reserved key: what the
partition as a whole has applied. It outlives the entries, so the fence of an entry that was removed is not lost.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, Literal, TypeVar

from voicestream.streams.clock import now_ms
from voicestream.streams.errors import StreamsError
from voicestream.streams.state.entries import (
    META_KEY,
    RESERVED,
    Fence,
    Meta,
    State,
    Values,
    advance,
)
from voicestream.streams.state.partitions import Partition, Partitions
from voicestream.streams.state.rocks import Position
from voicestream.streams.state.unsent import Change, Unsent

__all__ = ["META_KEY", "Backend", "Change", "Fence", "Meta", "State", "Store"]

S = TypeVar("S")

Backend = Literal["memory", "rocksdb"]

DECODED_ENTRIES = 10_000
"""Entries of a store in RocksDB that stay decoded in memory, about; those at work are not counted."""
_SLICE = 1_000  # entries that are looked at in one go


class Store(Generic[S]):
    """All entries of one store that this worker owns, by partition and key.

    ``type`` is what a value is: a ``msgspec.Struct``, a dataclass, or a built-in type. ``backend`` of ``None`` is what
    the worker says. Entries that have not changed for ``ttl_ms`` of wall-clock time are removed.

    There are two ways to change an entry. ``save`` keeps one at once. ``touch`` notes that it was changed within the
    running transaction, which ``commit`` keeps and ``abort`` takes back as a whole. What was kept goes to the
    changelog with ``take_changes``; ``settle`` says that it is there.
    """

    def __init__(self, name: str, type: type[S], *, backend: Backend | None = None, ttl_ms: int | None = None) -> None:
        self.name = name
        self.backend = backend
        self.ttl_ms = ttl_ms
        self.in_use: Callable[[S], bool] = lambda value: False
        """Whether an entry must stay, though its time to live is over."""
        self.generation = 0
        self._values = Values(name, type)
        self._since_ms = now_ms()  # when entries changed that do not say when they did
        self._held = Partitions(self._values)
        self._partitions = self._held.own
        self._opened: dict[tuple[int, str], State[S]] = {}  # that have no entry yet, since the last flush
        self._touched: dict[State[S], None] = {}
        self._metas_opened: set[int] = set()
        self._metas_touched: set[int] = set()
        self._unsent = Unsent()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Partition and key of every entry, as of now."""
        return ((number, key) for number in self.partitions() for key in self.keys(number))

    def get(self, key: str) -> S | None:
        """The value of ``key`` in any partition of this worker, as it was last kept: for tests and for queries."""
        found = (self.look_up(number, key) for number in self._partitions)
        return next((value for value in found if value is not None), None)

    def look_up(self, partition: int, key: str) -> S | None:
        """A copy of the value of ``key``, as it was last kept."""
        found = self._partitions.get(partition)
        if found is None or key.startswith(RESERVED):
            return None
        state = found.entries.get(key)
        if state is not None:
            return self._values.decode(state._encoded)
        data = found.stored(key)
        return None if data is None else self._values.unpack(partition, key, data, self.generation).value

    def partitions(self) -> list[int]:
        """The partitions that this worker owns, in order."""
        return sorted(self._partitions)

    def keys(self, partition: int) -> Iterator[str]:
        """The keys of a partition, as of now."""
        found = self._partitions.get(partition)
        return found.keys() if found is not None else iter(())

    def items(self, partition: int) -> Iterator[tuple[str, S]]:
        """The keys of a partition with their values, as they were last kept."""
        for key in self.keys(partition):
            value = self.look_up(partition, key)
            if value is not None:
                yield key, value

    def size(self) -> tuple[int, int]:
        """Entries and bytes of the partitions that this worker owns; an estimate where they are in RocksDB."""
        sizes = [partition.size() for partition in list(self._partitions.values())]
        return sum(entries for entries, _ in sizes), sum(size for _, size in sizes)

    def open(self, partition: int, key: str) -> State[S]:
        """The entry of ``key``, to be worked on: once it was touched or saved, the same object until it is flushed.

        Raises ``StreamsError`` for a key that begins with a zero byte; those are the store's own.
        """
        found = self._partitions.get(partition)
        state = found.entries.get(key) if found is not None else None
        return state if state is not None else self._load(partition, key)

    def applied(self, state: State[S], topic: str, offset: int) -> bool:
        """Whether the entry has applied the record at ``offset`` of ``topic`` before."""
        if state._fence.get(topic, -1) >= offset:
            return True
        found = self._partitions.get(state.partition)
        return found is not None and found.meta.removed.get(topic, -1) >= offset

    def save(self, state: State[S], applied: Fence | None = None) -> None:
        """Keep what was made of the entry, and that it has applied the records up to these offsets, by topic."""
        if state._generation != self.generation:
            return  # opened before the store was dropped: the partition was taken away while the agent was at work
        if self._keep(state, self._values.encode(state), applied) and state.value is None and state._fence:
            partition = self._held[state.partition]
            advance(partition.meta.removed, state._fence)
            partition.meta_kept = partition.meta.encode()
            self._unsent.metas.add(state.partition)

    def roll_back(self, state: State[S]) -> None:
        """Forget what was made of the entry since it was last saved."""
        state.value = self._values.decode(state._encoded)

    def touch(self, state: State[S], applied: Fence | None = None) -> None:
        """The entry was changed within the running transaction, by the records at these offsets, by topic.

        The entry's fence stands as it was until ``commit``.
        """
        self._touched[state] = None
        if applied:
            if state._applied is None:
                state._applied = dict(applied)
            else:
                advance(state._applied, applied)

    def let_go(self, state: State[S]) -> bool:
        """Take ``touch`` back where the value is what it was; whether that is so."""
        unchanged = self._values.encode(state) == state._encoded
        if unchanged:
            self._touched.pop(state, None)
            state._applied = None
        return unchanged

    def meta(self, partition: int) -> Meta:
        """What the partition as a whole has applied: to be changed in place, within the running transaction.

        ``commit`` sends it to the changelog when an entry of the partition has changed, or after ``touch_meta``.
        """
        self._metas_opened.add(partition)
        return self._held[partition].meta

    def touch_meta(self, partition: int) -> None:
        """Let the next ``commit`` send the meta, even if no entry of the partition has changed."""
        self._metas_touched.add(partition)

    def commit(self) -> None:
        """Keep what the transaction made of its entries and metas; raises ``StreamsError``, and keeps none, where a
        value cannot be encoded."""
        encoded = [
            (state, self._values.encode(state)) for state in self._touched if state._generation == self.generation
        ]
        changed = self._metas_touched
        for state, data in encoded:
            if self._keep(state, data, state._applied):
                changed.add(state.partition)
            state._applied = None
        for number in self._metas_opened:
            partition = self._held[number]
            partition.meta_kept = partition.meta.encode()
        for number in changed:
            partition = self._held[number]
            if partition.meta_kept != partition.meta_saved:
                self._unsent.metas.add(number)
        self._end()

    def abort(self) -> None:
        """Make every entry and every meta what it was at the last commit; entries that are new vanish."""
        for state in self._touched:
            self.roll_back(state)
            state._applied = None
        for number in self._metas_opened:
            self._held[number].restore_meta()
        self._end()

    def check(self, changes: Sequence[Change]) -> None:
        """Raise ``StreamsError`` for a change that could not be read back from the changelog; the test driver asks."""
        for _, key, data in changes:
            if data is not None and key != META_KEY:
                self._values.check(key, data)

    def take_changes(self) -> list[Change]:
        """What was kept since the last call, to be sent in this order: partition, key and changelog value.

        First the entries, one write a key, then the metas, then the removals (``None``). So a crash between any two
        leaves a fence that is not ahead of its entries. An entry that a record removed is written with its fence
        and without a value first: the removal itself must not be lost when the crash comes behind the meta.
        """
        changes = self._unsent.take(self._partitions, timed=self.ttl_ms is not None)
        self._opened.clear()
        return changes

    def settle(self, changes: Sequence[Change], offsets: Sequence[int] | None, generation: int) -> None:
        """The changelog has what ``take_changes`` gave, at these offsets where they are known.

        ``generation`` is that of the store when the changes were taken.
        """
        if generation != self.generation:
            return  # the partitions were assigned anew since; what the changelog has is being read
        for partition in self._unsent.settle(changes, offsets or (), self._partitions):
            self._make_room(partition)

    def restore(self, partition: int, key: str, data: bytes | None) -> None:
        """Apply a record of the changelog; raises ``StreamsError`` where it is of another kind of value."""
        self._held.restoring(partition).restore(key, data, self._values, self.generation)

    def restored(self, partition: int, position: Position, end: int) -> None:
        """All records of the changelog before ``position`` were given to ``restore``; it goes on to ``end``."""
        self._held.restoring(partition).caught_up(position, end)

    def position(self, partition: int) -> Position:
        """From where the changelog has to be read."""
        return self._held.restoring(partition).position

    def lag(self) -> int:
        """Records of the changelogs that the standby partitions have not got yet."""
        return sum(max(0, p.end - p.position.offset) for p in list(self._held.standby.values()))

    def clear(self, partition: int) -> None:
        """Begin with nothing: what was known of the partition is not of this changelog."""
        self._held.restoring(partition).clear()

    def place(self, folder: Path | None) -> None:
        """Keep the partitions in RocksDB, each in a folder of its own under ``folder``, and few entries in memory.

        ``None``: keep them in memory.
        """
        self._held.folder = folder

    def assign(self, partitions: Collection[int], standby: Collection[int] = ()) -> None:
        """Own ``partitions`` from now on, and no others; those of ``standby`` are restored, but not worked on.

        What is known of a partition is kept, as far as the changelog has it: ``position`` says from where to go on.
        """
        uncertain = self._unsent.partitions()
        self._forget_changes()
        self._held.assign(partitions, standby, uncertain, self.generation)

    def drop(self) -> None:
        """Forget everything: what is kept comes from the changelog."""
        self._forget_changes()
        self._held.clear()
        self._held.close()

    def close(self) -> None:
        """Let the files go; what is in memory is forgotten."""
        self._held.close()

    def stale(self, now: int) -> Iterator[list[tuple[int, str]]]:
        """Partition and key of the entries whose time to live is over, in slices of what was looked at."""
        if self.ttl_ms is None:
            return
        before = now - self.ttl_ms
        found: list[tuple[int, str]] = []
        partitions = list(self._partitions.items())
        times = ((number, *time) for number, partition in partitions for time in partition.times())
        for count, (number, key, changed_ms) in enumerate(times):
            if (changed_ms or self._since_ms) <= before:
                found.append((number, key))
            if count % _SLICE == 0:
                yield found
                found = []
        yield found

    def expire(self, entries: Iterable[tuple[int, str]], now: int) -> None:
        """Remove those of ``entries`` whose time to live is over."""
        for number, key in entries:
            state = self.open(number, key) if number in self._partitions else None
            if state is None or state.value is None or self.in_use(state.value):
                continue
            if (state._changed_ms or self._since_ms) + (self.ttl_ms or 0) <= now:
                state.value = None
                self.save(state)

    def _load(self, number: int, key: str) -> State[S]:
        """The entry of a key that is not decoded, or that there is none of."""
        if (state := self._opened.get((number, key))) is not None:
            return state
        if key.startswith(RESERVED):
            raise StreamsError(f"store {self.name}: key {key!r} begins with a zero byte; such keys are reserved")
        found = self._partitions.get(number)
        if found is not None and (state := found.ghosts.get(key)) is not None:
            return state
        if found is not None and (data := found.stored(key)) is not None:
            state = self._values.unpack(number, key, data, self.generation)
            if state._encoded is not None:
                self._make_room(found)
                found.entries[key] = state
                return state
        if state is None:
            fence, _ = self._unsent.removed.get((number, key), ({}, False))
            state = State(key, number, None, fence, None, self.generation)
        self._opened[number, key] = state
        return state

    def _make_room(self, partition: Partition[S]) -> None:
        """Forget decoded entries, the oldest first, that nobody is at work on and that the copy has."""
        limit = max(1, DECODED_ENTRIES // len(self._partitions))
        if len(partition.entries) <= limit + limit // 4:
            return
        for key, state in list(partition.entries.items()):
            place = partition.number, key
            if state not in self._touched and not self._unsent.has(place):
                del partition.entries[key]
                if len(partition.entries) <= limit:
                    return

    def _keep(self, state: State[S], encoded: bytes | None, applied: Fence | None) -> bool:
        """Whether anything has changed."""
        if applied:
            state._fence = {**state._fence, **applied}
        if encoded == state._encoded:
            return False  # the fence goes out with the next change, before which a replay is harmless
        partition = self._held[state.partition]
        partition.bytes += len(encoded or b"") - len(state._encoded or b"")
        partition.ghosts.pop(state.key, None)
        state._encoded = encoded
        place = state.partition, state.key
        if encoded is None:
            partition.entries.pop(state.key, None)
            self._unsent.changed.pop(place, None)
            self._unsent.removed[place] = state._fence, bool(applied)
            if partition.copy is not None:
                partition.gone.add(state.key)
        else:
            partition.entries[state.key] = state
            self._unsent.removed.pop(place, None)
            self._unsent.changed[place] = None
            if self.ttl_ms is not None:
                state._changed_ms = now_ms()
        return True

    def _forget_changes(self) -> None:
        self.generation += 1
        self._unsent.clear()
        self._end()

    def _end(self) -> None:
        self._touched.clear()
        self._opened.clear()
        self._metas_opened.clear()
        self._metas_touched.clear()
