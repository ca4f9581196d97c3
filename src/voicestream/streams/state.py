"""Keyed state, backed by a changelog topic, that a replay cannot count twice.

Every entry carries, in the same changelog record as its value, the source offsets that it has applied: the fence. A
record at or below the fence of its topic has been applied before, so it is refused. A worker that was killed thus
replays what it had not committed, and the state is as if it had not been killed.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from voicestream.streams.errors import StreamsError

S = TypeVar("S")

Fence = dict[str, int]


class _Entry(msgspec.Struct, array_like=True):
    fence: Fence
    value: msgspec.Raw


class State(Generic[S]):
    """The entry of one key while a record or a punctuator is at work on it.

    Set ``value`` (or change it in place); ``None`` removes the entry. Nothing is kept if the agent raises.
    """

    __slots__ = ("_encoded", "_fence", "_generation", "key", "partition", "value")

    def __init__(
        self, key: str, partition: int, value: S | None, fence: Fence, encoded: bytes | None, generation: int
    ) -> None:
        self.key = key
        self.partition = partition
        self.value = value
        self._fence = fence
        self._encoded = encoded
        self._generation = generation


class Store(Generic[S]):
    """All entries of one store that this worker owns, by partition and key.

    ``type`` is what a value is: a ``msgspec.Struct``, a dataclass, or a built-in type.
    """

    def __init__(self, name: str, type: type[S]) -> None:
        self.name = name
        self._type = type
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(type)
        self._entries: dict[int, dict[str, State[S]]] = {}
        self._changed: dict[tuple[int, str], None] = {}
        self._generation = 0

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._entries.values())

    def get(self, key: str) -> S | None:
        """The value of ``key`` in any partition of this worker: for tests and for queries."""
        for entries in self._entries.values():
            if key in entries:
                return entries[key].value
        return None

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Partition and key of every entry, as of now."""
        return iter([(partition, key) for partition, entries in self._entries.items() for key in entries])

    def open(self, partition: int, key: str) -> State[S]:
        """The entry of ``key``, to be worked on."""
        state = self._entries.get(partition, {}).get(key)
        return state if state is not None else State(key, partition, None, {}, None, self._generation)

    def applied(self, state: State[S], topic: str, offset: int) -> bool:
        """Whether the entry has applied the record at ``offset`` of ``topic`` before."""
        return state._fence.get(topic, -1) >= offset

    def save(self, state: State[S], applied: Fence | None = None) -> None:
        """Keep what was made of the entry, and that it has applied the records up to these offsets, by topic."""
        if state._generation != self._generation:
            return  # opened before the store was dropped: the partition was taken away while the agent was at work
        encoded = None if state.value is None else self._encoder.encode(state.value)
        if applied:
            state._fence = {**state._fence, **applied}
        if encoded == state._encoded:
            return  # nothing has changed: the fence goes out with the next change, before which a replay is harmless
        state._encoded = encoded
        entries = self._entries.setdefault(state.partition, {})
        if encoded is None:
            entries.pop(state.key, None)
        else:
            entries[state.key] = state
        self._changed[state.partition, state.key] = None

    def roll_back(self, state: State[S]) -> None:
        """Forget what was made of the entry since it was last saved."""
        state.value = None if state._encoded is None else self._decoder.decode(state._encoded)

    def take_changes(self) -> list[tuple[int, str, bytes | None]]:
        """Partition, key and changelog value of every entry that changed since the last call: one write a key."""
        changes: list[tuple[int, str, bytes | None]] = []
        for partition, key in self._changed:
            state = self._entries.get(partition, {}).get(key)
            if state is None or state._encoded is None:
                changes.append((partition, key, None))
            else:
                entry = _Entry(state._fence, msgspec.Raw(state._encoded))
                changes.append((partition, key, self._encoder.encode(entry)))
        self._changed.clear()
        return changes

    def restore(self, partition: int, key: str, data: bytes | None) -> None:
        """Apply a record of the changelog; raises ``StreamsError`` where it is of another kind of value."""
        entries = self._entries.setdefault(partition, {})
        if data is None:
            entries.pop(key, None)
            return
        try:
            entry = msgspec.msgpack.decode(data, type=_Entry)
            encoded = bytes(entry.value)
            value = self._decoder.decode(encoded)
        except msgspec.DecodeError as error:
            raise StreamsError(
                f"store {self.name}, key {key}: what its changelog holds is no {self._type.__name__} ({error}). If the "
                "type was changed, give the store another name, or its fields defaults"
            ) from error
        entries[key] = State(key, partition, value, entry.fence, encoded, self._generation)

    def drop(self) -> None:
        """Forget everything: the partitions are assigned anew, and what is kept comes from the changelog."""
        self._generation += 1
        self._entries.clear()
        self._changed.clear()
