"""Keyed state, backed by a changelog topic, that a replay cannot count twice.

Every entry carries, in the same changelog record as its value, the source offsets that it has applied: the fence. A
record at or below the fence of its topic has been applied before, so it is refused. A worker that was killed thus
replays what it had not committed, and the state is as if it had not been killed.

Beside its entries each partition has one ``Meta``, in the same changelog partition under a reserved key: what the
partition as a whole has applied. It outlives the entries, so the fence of an entry that was removed is not lost.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

from voicestream.streams.errors import StreamsError

S = TypeVar("S")

Fence = dict[str, int]

META_KEY = "\x00meta"
_RESERVED = "\x00"
_NIL = b"\xc0"  # MessagePack's null: no value of an entry, for that is ``None``


class Meta(msgspec.Struct):
    """What one partition of a store has applied, whatever became of its entries."""

    fence: dict[str, tuple[int, int]] = {}
    """The last offset applied, and the number of the record within it, by origin (a source topic, or what stands for
    one)."""
    stream_ms: dict[str, int] = {}
    """The highest event time seen, by source topic."""
    removed: Fence = {}
    """The highest offset that an entry had applied which an agent or its time to live removed, by source topic."""


class _Entry(msgspec.Struct, array_like=True):
    fence: Fence
    value: msgspec.Raw


class State(Generic[S]):
    """The entry of one key while a record or a punctuator is at work on it.

    Set ``value`` (or change it in place); ``None`` removes the entry. Nothing is kept if the agent raises.
    """

    __slots__ = ("_applied", "_encoded", "_fence", "_generation", "key", "partition", "value")

    def __init__(
        self, key: str, partition: int, value: S | None, fence: Fence, encoded: bytes | None, generation: int
    ) -> None:
        self.key = key
        self.partition = partition
        self.value = value
        self._fence = fence
        self._encoded = encoded
        self._generation = generation
        self._applied: Fence | None = None  # by the running transaction


class _Partition(Generic[S]):
    """What a store has of one partition."""

    def __init__(self) -> None:
        self.entries: dict[str, State[S]] = {}
        self.ghosts: dict[str, State[S]] = {}  # removed, but the crash came before the meta that knows their fence
        self.meta = Meta()
        self.meta_kept = self.meta_saved = _encode_meta(self.meta)  # at the last commit; in the changelog


class Store(Generic[S]):
    """All entries of one store that this worker owns, by partition and key.

    ``type`` is what a value is: a ``msgspec.Struct``, a dataclass, or a built-in type.

    There are two ways to change an entry. ``save`` keeps one at once. ``touch`` notes that it was changed within the
    running transaction, which ``commit`` keeps and ``abort`` takes back as a whole. What was kept is on its way to
    the changelog with ``take_changes``.
    """

    def __init__(self, name: str, type: type[S]) -> None:
        self.name = name
        self._type = type
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(type)
        self._partitions: dict[int, _Partition[S]] = {}
        self._opened: dict[tuple[int, str], State[S]] = {}  # that have no entry yet, since the last flush
        self._touched: dict[State[S], None] = {}
        self._metas_opened: set[int] = set()
        self._metas_touched: set[int] = set()
        self._changed: dict[tuple[int, str], None] = {}
        self._removed: dict[tuple[int, str], tuple[Fence, bool]] = {}  # the fence, and whether a record removed it
        self._metas_changed: set[int] = set()
        self._generation = 0

    def __len__(self) -> int:
        return sum(len(partition.entries) for partition in self._partitions.values())

    def get(self, key: str) -> S | None:
        """The value of ``key`` in any partition of this worker: for tests and for queries."""
        for partition in self._partitions.values():
            if key in partition.entries:
                return partition.entries[key].value
        return None

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Partition and key of every entry, as of now."""
        return iter([(number, key) for number in self._partitions for key in self.keys(number)])

    def partitions(self) -> list[int]:
        """The partitions of which there is anything, in order."""
        return sorted(self._partitions)

    def keys(self, partition: int) -> Iterator[str]:
        """The keys of a partition, as of now."""
        found = self._partitions.get(partition)
        return iter(list(found.entries) if found is not None else ())

    def items(self, partition: int) -> Iterator[tuple[str, S]]:
        """The keys of a partition with their values, as of now."""
        found = self._partitions.get(partition)
        states = list(found.entries.values()) if found is not None else ()
        return ((state.key, state.value) for state in states if state.value is not None)

    def open(self, partition: int, key: str) -> State[S]:
        """The entry of ``key``, to be worked on: the same object until it is flushed.

        Raises ``StreamsError`` for a key that begins with a zero byte; those are the store's own.
        """
        found = self._partitions.get(partition)
        state = found.entries.get(key) if found is not None else None
        return state if state is not None else self._new(partition, key)

    def applied(self, state: State[S], topic: str, offset: int) -> bool:
        """Whether the entry has applied the record at ``offset`` of ``topic`` before."""
        if state._fence.get(topic, -1) >= offset:
            return True
        found = self._partitions.get(state.partition)
        return found is not None and found.meta.removed.get(topic, -1) >= offset

    def save(self, state: State[S], applied: Fence | None = None) -> None:
        """Keep what was made of the entry, and that it has applied the records up to these offsets, by topic."""
        if state._generation != self._generation:
            return  # opened before the store was dropped: the partition was taken away while the agent was at work
        if self._keep(state, self._encode(state), applied) and state.value is None and state._fence:
            partition = self._partition(state.partition)
            _advance(partition.meta.removed, state._fence)
            partition.meta_kept = _encode_meta(partition.meta)
            self._metas_changed.add(state.partition)

    def roll_back(self, state: State[S]) -> None:
        """Forget what was made of the entry since it was last saved."""
        state.value = None if state._encoded is None else self._decoder.decode(state._encoded)

    def touch(self, state: State[S], applied: Fence | None = None) -> None:
        """The entry was changed within the running transaction, by the records at these offsets, by topic.

        The entry's fence stands as it was until ``commit``.
        """
        self._touched[state] = None
        if applied:
            if state._applied is None:
                state._applied = dict(applied)
            else:
                _advance(state._applied, applied)

    def meta(self, partition: int) -> Meta:
        """What the partition as a whole has applied: to be changed in place, within the running transaction.

        ``commit`` sends it to the changelog when an entry of the partition has changed, or after ``touch_meta``.
        """
        self._metas_opened.add(partition)
        return self._partition(partition).meta

    def touch_meta(self, partition: int) -> None:
        """Let the next ``commit`` send the meta, even if no entry of the partition has changed."""
        self._metas_touched.add(partition)

    def commit(self) -> None:
        """Keep what the transaction made of its entries and metas; raises ``StreamsError``, and keeps none, where a
        value cannot be encoded."""
        encoded = [(state, self._encode(state)) for state in self._touched if state._generation == self._generation]
        changed = self._metas_touched
        for state, data in encoded:
            if self._keep(state, data, state._applied):
                changed.add(state.partition)
            state._applied = None
        for number in self._metas_opened:
            partition = self._partition(number)
            partition.meta_kept = _encode_meta(partition.meta)
        for number in changed:
            partition = self._partition(number)
            if partition.meta_kept != partition.meta_saved:
                self._metas_changed.add(number)
        self._end()

    def abort(self) -> None:
        """Make every entry and every meta what it was at the last commit; entries that are new vanish."""
        for state in self._touched:
            self.roll_back(state)
            state._applied = None
        for number in self._metas_opened:
            partition = self._partition(number)
            kept = _decode_meta(partition.meta_kept)
            meta = partition.meta  # its user may hold it, so it stays the same object
            meta.fence, meta.stream_ms, meta.removed = kept.fence, kept.stream_ms, kept.removed
        self._end()

    def take_changes(self) -> list[tuple[int, str, bytes | None]]:
        """Partition, key and changelog value of what was kept since the last call, to be sent in this order.

        First the entries, one write a key, then the metas, then the removals (``None``). So a crash between any two
        leaves a fence that is not ahead of its entries. An entry that a record removed is written with its fence
        and without a value first: the removal itself must not be lost when the crash comes behind the meta.
        """
        changes: list[tuple[int, str, bytes | None]] = []
        for number, key in self._changed:
            state = self._partitions[number].entries[key]
            assert state._encoded is not None
            changes.append((number, key, self._pack(state._fence, state._encoded)))
        for (number, key), (fence, by_record) in self._removed.items():
            if by_record:
                changes.append((number, key, self._pack(fence, _NIL)))
        for number in sorted(self._metas_changed):
            partition = self._partitions[number]
            partition.meta_saved = partition.meta_kept
            changes.append((number, META_KEY, partition.meta_saved))
            changes.extend(self._lay_ghosts(number, partition))
        changes.extend((number, key, None) for number, key in self._removed)
        self._changed.clear()
        self._removed.clear()
        self._metas_changed.clear()
        self._opened.clear()
        return changes

    def restore(self, partition: int, key: str, data: bytes | None) -> None:
        """Apply a record of the changelog; raises ``StreamsError`` where it is of another kind of value."""
        found = self._partition(partition)
        try:
            if key == META_KEY:
                found.meta = _decode_meta(data) if data is not None else Meta()
                found.meta_kept = found.meta_saved = _encode_meta(found.meta)
                return
            found.entries.pop(key, None)
            found.ghosts.pop(key, None)
            if data is None:
                return
            entry = msgspec.msgpack.decode(data, type=_Entry)
            encoded = bytes(entry.value)
            if encoded == _NIL:
                found.ghosts[key] = State(key, partition, None, entry.fence, None, self._generation)
                return
            value = self._decoder.decode(encoded)
        except msgspec.DecodeError as error:
            raise StreamsError(
                f"store {self.name}, key {key}: what its changelog holds is no {self._type.__name__} ({error}). If the "
                "type was changed, give the store another name, or its fields defaults"
            ) from error
        found.entries[key] = State(key, partition, value, entry.fence, encoded, self._generation)

    def drop(self) -> None:
        """Forget everything: the partitions are assigned anew, and what is kept comes from the changelog."""
        self._generation += 1
        self._partitions.clear()
        self._changed.clear()
        self._removed.clear()
        self._metas_changed.clear()
        self._end()

    def _partition(self, number: int) -> _Partition[S]:
        found = self._partitions.get(number)
        if found is None:
            found = self._partitions[number] = _Partition()
        return found

    def _new(self, number: int, key: str) -> State[S]:
        found = self._partitions.get(number)
        state = (found.ghosts.get(key) if found is not None else None) or self._opened.get((number, key))
        if state is None:
            if key.startswith(_RESERVED):
                raise StreamsError(f"store {self.name}: key {key!r} begins with a zero byte; such keys are reserved")
            fence, _ = self._removed.get((number, key), ({}, False))
            state = self._opened[number, key] = State(key, number, None, fence, None, self._generation)
        return state

    def _encode(self, state: State[S]) -> bytes | None:
        try:
            return None if state.value is None else self._encoder.encode(state.value)
        except (TypeError, ValueError, OverflowError) as error:
            raise StreamsError(f"store {self.name}, key {state.key}: the value cannot be encoded: {error}") from error

    def _keep(self, state: State[S], encoded: bytes | None, applied: Fence | None) -> bool:
        """Whether anything has changed."""
        if applied:
            state._fence = {**state._fence, **applied}
        if encoded == state._encoded:
            return False  # the fence goes out with the next change, before which a replay is harmless
        state._encoded = encoded
        partition = self._partition(state.partition)
        partition.ghosts.pop(state.key, None)
        place = state.partition, state.key
        if encoded is None:
            partition.entries.pop(state.key, None)
            self._changed.pop(place, None)
            self._removed[place] = state._fence, bool(applied)
        else:
            partition.entries[state.key] = state
            self._removed.pop(place, None)
            self._changed[place] = None
        return True

    def _pack(self, fence: Fence, encoded: bytes) -> bytes:
        return self._encoder.encode(_Entry(fence, msgspec.Raw(encoded)))

    def _lay_ghosts(self, number: int, partition: _Partition[S]) -> list[tuple[int, str, None]]:
        """Remove the ghosts whose fence the meta knows by now."""
        meta = partition.meta
        known = [
            key
            for key, state in partition.ghosts.items()
            if all(
                offset <= meta.removed.get(topic, -1) or offset < meta.fence.get(topic, (-1, 0))[0]
                for topic, offset in state._fence.items()
            )
        ]
        for key in known:
            del partition.ghosts[key]
        return [(number, key, None) for key in known]

    def _end(self) -> None:
        self._touched.clear()
        self._opened.clear()
        self._metas_opened.clear()
        self._metas_touched.clear()


def _advance(fence: Fence, by: Mapping[str, int]) -> None:
    for topic, offset in by.items():
        if offset > fence.get(topic, -1):
            fence[topic] = offset


def _encode_meta(meta: Meta) -> bytes:
    return msgspec.msgpack.encode(meta)


def _decode_meta(data: bytes) -> Meta:
    return msgspec.msgpack.decode(data, type=Meta)
