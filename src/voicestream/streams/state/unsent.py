"""What was kept in a store and is not in its changelog yet."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from voicestream.streams.state.entries import META_KEY, NIL, Fence, checksum, pack
from voicestream.streams.state.partitions import Partition
from voicestream.streams.state.rocks import Position

S = TypeVar("S")

Change = tuple[int, str, bytes | None]
"""Partition, key, and changelog value; ``None`` removes the key."""

Place = tuple[int, str]
"""Partition and key."""


class Unsent:
    """The changes of a store: those to be sent, and those that are on their way."""

    def __init__(self) -> None:
        self.changed: dict[Place, None] = {}
        self.removed: dict[Place, tuple[Fence, bool]] = {}
        """With the fence, and whether a record removed it."""
        self.metas: set[int] = set()
        """The partitions whose metas have changed."""
        self._in_flight: Counter[Place] = Counter()

    def has(self, place: Place) -> bool:
        """Whether the entry there is to be sent, or on its way."""
        return place in self.changed or place in self._in_flight

    def partitions(self) -> set[int]:
        """The partitions of which the changelog may lack something."""
        return {number for number, _ in (*self.changed, *self.removed, *self._in_flight)} | self.metas

    def clear(self) -> None:
        self.changed.clear()
        self.removed.clear()
        self.metas.clear()
        self._in_flight.clear()

    def take(self, partitions: Mapping[int, Partition[S]], timed: bool) -> list[Change]:
        """What ``Store.take_changes`` gives; ``timed``: with the time of the change."""
        changes: list[Change] = []
        for number, key in self.changed:
            state = partitions[number].entries[key]
            assert state._encoded is not None
            state._sent = state._fence
            changes.append((number, key, pack(state._fence, state._encoded, state._changed_ms if timed else None)))
        for (number, key), (fence, by_record) in self.removed.items():
            if by_record:
                changes.append((number, key, pack(fence, NIL)))
        for number in sorted(self.metas):
            partition = partitions[number]
            partition.meta_saved = partition.meta_kept
            changes.append((number, META_KEY, partition.meta_saved))
            changes.extend((number, key, None) for key in partition.lay_ghosts())
        changes.extend((number, key, None) for number, key in self.removed)
        self._in_flight.update((number, key) for number, key, _ in changes)
        self.changed.clear()
        self.removed.clear()
        self.metas.clear()
        return changes

    def settle(
        self, changes: Sequence[Change], offsets: Sequence[int], partitions: Mapping[int, Partition[S]]
    ) -> list[Partition[S]]:
        """Tell the partitions that the changelog has these changes; those of them that have a copy on disk."""
        written: dict[int, list[tuple[str, bytes | None]]] = {}
        last: dict[int, int] = {}  # of the changes that go on where the partition's position is, by partition
        for index, (number, _, _) in enumerate(changes[: len(offsets)]):
            # A gap is what another worker wrote that had the partition too: it is read when we are assigned anew.
            follows = offsets[last[number]] + 1 if number in last else partitions[number].position.offset
            if offsets[index] == follows:
                last[number] = index
        for number, key, data in changes:
            self._in_flight[number, key] -= 1
            if not self._in_flight[number, key]:
                del self._in_flight[number, key]
            written.setdefault(number, []).append((key, data))
        for number, records in written.items():
            partition = partitions[number]
            if number in last:
                _, key, data = changes[last[number]]
                partition.position = Position(offsets[last[number]] + 1, checksum(key, data))
            partition.written(records)
            if partition.gone:
                partition.gone.difference_update(key for key, _ in records if (number, key) not in self.removed)
        return [partitions[number] for number in written if partitions[number].copy is not None]
