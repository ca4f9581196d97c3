"""The partitions of a store: what this worker has of each, in memory or on disk."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from voicestream.streams.state.entries import (
    META_KEY,
    NIL,
    Fence,
    Meta,
    Packed,
    State,
    Values,
    decode_meta,
    is_behind,
    unpack,
)
from voicestream.streams.state.rocks import Position, RocksCopy

S = TypeVar("S")


class Partition(Generic[S]):
    """What a store has of one partition.

    With a ``copy`` on disk, ``entries`` are the ones that are decoded: those at work, and some more.
    """

    def __init__(self, number: int, copy: RocksCopy | None = None) -> None:
        self.number = number
        self.copy = copy
        self.entries: dict[str, State[S]] = {}
        self.ghosts: dict[str, State[S]] = {}  # removed, but the crash came before the meta that knows their fence
        self.gone: set[str] = set()  # removed, and the copy may not know
        self.position = copy.position if copy is not None else Position()
        self.end = 0  # of the changelog, when it was last looked at
        self.bytes = 0
        self.restored: dict[str, bytes | None] = {}  # on the way to the copy
        self.load_meta(copy.get(META_KEY) if copy is not None else None)

    def load_meta(self, data: bytes | None) -> None:
        """Take the meta that the changelog has; raises ``msgspec.DecodeError``."""
        self.meta = decode_meta(data) if data is not None else Meta()
        self.meta_kept = self.meta_saved = self.meta.encode()  # at the last commit; in the changelog

    def restore_meta(self) -> None:
        """Make the meta what it was at the last commit."""
        kept, meta = decode_meta(self.meta_kept), self.meta  # which its user may hold, so it stays the same object
        meta.fence, meta.stream_ms, meta.removed = kept.fence, kept.stream_ms, kept.removed

    def packed(self) -> Iterator[tuple[str, Packed]]:
        """The entries on disk, without those that are decoded; both as they are now, not when it is asked for more."""
        if self.copy is None:
            return iter(())
        decoded, stored = set(self.entries), self.copy.items()
        entries = ((key, unpack(data)) for key, data in stored if key not in decoded and key not in self.gone)
        return ((key, entry) for key, entry in entries if bytes(entry.value) != NIL)

    def keys(self) -> Iterator[str]:
        """The keys, as of now."""
        packed = self.packed()
        yield from list(self.entries)
        yield from (key for key, _ in packed)

    def times(self) -> Iterator[tuple[str, int]]:
        """The keys, each with the time of its last change."""
        packed = self.packed()
        yield from [(state.key, state._changed_ms) for state in self.entries.values()]
        yield from ((key, entry.changed_ms) for key, entry in packed)

    def stored(self, key: str) -> bytes | None:
        """What the copy on disk has of ``key``, unless that is out of date."""
        return self.copy.get(key) if self.copy is not None and key not in self.gone else None

    def applied(self, key: str) -> Fence:
        """What the entry of ``key`` had applied, as far as the changelog was read."""
        known = self.entries.get(key) or self.ghosts.get(key)
        if known is not None:
            return known._fence
        if self.copy is None:
            return {}
        data = self.restored[key] if key in self.restored else self.copy.get(key)
        return {} if data is None else unpack(data).fence

    def size(self) -> tuple[int, int]:
        """Entries and bytes; an estimate where they are on disk."""
        return (len(self.entries), self.bytes) if self.copy is None else (self.copy.entries(), self.copy.size())

    def restore(self, key: str, data: bytes | None, values: Values[S], generation: int) -> None:
        """Apply a record of the changelog; raises ``StreamsError`` where it is of another kind of value.

        An entry that had applied less than the one before it is passed over: a worker that was frozen wrote it when
        another one had gone on.
        """
        if key == META_KEY:
            try:
                known, saved = self.meta.fence, self.meta_saved
                self.load_meta(data)
            except msgspec.DecodeError as error:
                raise values.foreign(META_KEY, error) from error
            if is_behind(self.meta.fence, known):
                self.load_meta(saved)
                return
        else:
            state = values.unpack(self.number, key, data, generation) if data is not None else None
            if state is not None and is_behind(state._fence, self.applied(key)):
                return
            old = self.entries.pop(key, None)
            self.bytes -= len(old._encoded or b"") if old is not None else 0
            self.ghosts.pop(key, None)
            if state is not None:
                if state._encoded is None:
                    self.ghosts[key] = state
                elif self.copy is None:
                    self.entries[key] = state
                    self.bytes += len(state._encoded)
        if self.copy is not None:
            self.restored[key] = data

    def caught_up(self, position: Position, end: int) -> None:
        """All records of the changelog before ``position`` were given to ``restore``; it goes on to ``end``."""
        self.position, self.end = position, end
        if self.copy is not None and self.restored:
            self.copy.write(self.restored.items(), position)
            self.restored.clear()

    def written(self, records: Sequence[tuple[str, bytes | None]]) -> None:
        """The changelog has these records, up to ``position`` where it has moved."""
        self.end = max(self.end, self.position.offset)
        if self.copy is not None:
            self.copy.write(records, self.position)

    def rewind(self, values: Values[S], generation: int) -> None:
        """Go back to what the changelog has, as far as this worker knows."""
        if self.copy is not None:
            self.forget()
            self.copy.take_up()
            self.position = self.copy.position
            self.load_meta(self.copy.get(META_KEY))
            return
        self.load_meta(self.meta_saved)
        for entries in self.entries, self.ghosts:
            for key, old in entries.items():
                value = values.decode(old._encoded)
                entries[key] = State(key, self.number, value, old._sent, old._encoded, generation, old._changed_ms)

    def clear(self) -> None:
        """Begin with nothing."""
        if self.copy is not None:
            self.copy.clear()
        self.forget()
        self.bytes = 0
        self.position = Position()
        self.load_meta(None)

    def forget(self) -> None:
        """Keep nothing decoded."""
        self.entries.clear()
        self.ghosts.clear()
        self.gone.clear()
        self.restored.clear()

    def lay_ghosts(self) -> list[str]:
        """Forget, and name, the ghosts whose fence the meta knows by now."""
        known = [
            key
            for key, state in self.ghosts.items()
            if all(
                offset <= self.meta.removed.get(topic, -1) or offset < self.meta.fence.get(topic, (-1, 0))[0]
                for topic, offset in state._fence.items()
            )
        ]
        for key in known:
            del self.ghosts[key]
        return known


class Partitions(Generic[S]):
    """The partitions of a store that a worker has: its own, those on standby, and those that it left on disk."""

    def __init__(self, values: Values[S]) -> None:
        self.own: dict[int, Partition[S]] = {}
        self.standby: dict[int, Partition[S]] = {}
        self.folder: Path | None = None
        """Of RocksDB; ``None``: all is in memory."""
        self._parked: dict[int, Partition[S]] = {}  # on disk, for the case that they come back
        self._values = values

    def __getitem__(self, number: int) -> Partition[S]:
        """One of its own, made where there is none."""
        found = self.own.get(number)
        if found is None:
            found = self.own[number] = self._create(number)
        return found

    def restoring(self, number: int) -> Partition[S]:
        """The one that a changelog is read into."""
        return self.standby.get(number) or self[number]

    def assign(
        self, own: Collection[int], standby: Collection[int], uncertain: Collection[int], generation: int
    ) -> None:
        """Have these and no others, with what the changelog has of them; ``uncertain``: of which nobody can tell."""
        known = self._parked | self.own | self.standby
        for wanted, kept in (own, self.own), (standby, self.standby):
            kept.clear()
            for number in sorted(wanted):
                found = known.pop(number, None)
                if found is None or (found.copy is None and number in uncertain):
                    found = self._create(number)
                else:
                    found.rewind(self._values, generation)
                kept[number] = found
        self._parked = {number: left for number, left in known.items() if left.copy is not None}

    def clear(self) -> None:
        """Begin with nothing, on disk too."""
        for partition in self._all():
            partition.clear()

    def close(self) -> None:
        """Let the files go; what is in memory is forgotten."""
        for partition in self._all():
            if partition.copy is not None:
                partition.copy.close()
        for partitions in self.own, self.standby, self._parked:
            partitions.clear()

    def _all(self) -> list[Partition[S]]:
        return [*self.own.values(), *self.standby.values(), *self._parked.values()]

    def _create(self, number: int) -> Partition[S]:
        return Partition(number, RocksCopy(self.folder / str(number)) if self.folder is not None else None)
