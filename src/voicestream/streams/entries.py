"""What a store has of one partition: its entries, its meta, and how both look in the changelog."""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgspec

from voicestream.streams.errors import StreamsError
from voicestream.streams.rocks import Position, RocksCopy

S = TypeVar("S")

Fence = dict[str, int]

META_KEY = "\x00meta"
RESERVED = "\x00"
NIL = b"\xc0"  # MessagePack's null: no value of an entry, for that is ``None``


class Meta(msgspec.Struct):
    """What one partition of a store has applied, whatever became of its entries."""

    fence: dict[str, tuple[int, int]] = {}
    """The last offset applied, and the number of the record within it, by origin (a source topic, or what stands for
    one)."""
    stream_ms: dict[str, int] = {}
    """The highest event time seen, by source topic."""
    removed: Fence = {}
    """The highest offset that an entry had applied which an agent or its time to live removed, by source topic."""

    def encode(self) -> bytes:
        return _ENCODER.encode(self)


class Packed(msgspec.Struct, array_like=True):
    """An entry in the changelog; ``changed_ms`` is 0 in stores whose entries live for ever."""

    fence: Fence
    value: msgspec.Raw
    changed_ms: int = 0


_ENCODER = msgspec.msgpack.Encoder()
_METAS = msgspec.msgpack.Decoder(Meta)
_PACKED = msgspec.msgpack.Decoder(Packed)


def decode_meta(data: bytes) -> Meta:
    """Raises ``msgspec.DecodeError``."""
    return _METAS.decode(data)


def pack(fence: Fence, value: bytes, changed_ms: int | None = None) -> bytes:
    """The changelog value of an entry."""
    raw = msgspec.Raw(value)
    return _ENCODER.encode((fence, raw) if changed_ms is None else (fence, raw, changed_ms))


def unpack(data: bytes) -> Packed:
    """Raises ``msgspec.DecodeError``."""
    return _PACKED.decode(data)


def checksum(key: str, data: bytes | None) -> int:
    """What tells a record of a changelog from another one at the same offset of a topic that was made anew."""
    return crc32(data or b"", crc32(key.encode()))


class State(Generic[S]):
    """The entry of one key while a record or a punctuator is at work on it.

    Set ``value`` (or change it in place); ``None`` removes the entry. Nothing is kept if the agent raises.
    """

    __slots__ = ("_applied", "_changed_ms", "_encoded", "_fence", "_generation", "_sent", "key", "partition", "value")

    def __init__(
        self,
        key: str,
        partition: int,
        value: S | None,
        fence: Fence,
        encoded: bytes | None,
        generation: int,
        changed_ms: int = 0,
    ) -> None:
        self.key = key
        self.partition = partition
        self.value = value
        self._fence = fence
        self._sent = fence  # the fence that the changelog has
        self._encoded = encoded
        self._generation = generation
        self._changed_ms = changed_ms
        self._applied: Fence | None = None  # by the running transaction


class Values(Generic[S]):
    """How the values of the store ``name`` look in its changelog; they are of ``type``."""

    def __init__(self, name: str, type: type[S]) -> None:
        self._name = name
        self._type = type
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(type)

    def encode(self, state: State[S]) -> bytes | None:
        """The value of an entry; raises ``StreamsError`` for one that cannot be encoded."""
        try:
            return None if state.value is None else self._encoder.encode(state.value)
        except (TypeError, ValueError, OverflowError) as error:
            raise StreamsError(f"store {self._name}, key {state.key}: the value cannot be encoded: {error}") from error

    def decode(self, encoded: bytes | None) -> S | None:
        """The value that ``encode`` gave; raises ``msgspec.DecodeError``."""
        return None if encoded is None else self._decoder.decode(encoded)

    def unpack(self, number: int, key: str, data: bytes, generation: int) -> State[S]:
        """The entry in a record of the changelog; raises ``StreamsError`` where it is of another kind of value."""
        try:
            entry = unpack(data)
            raw = bytes(entry.value)
            encoded = None if raw == NIL else raw
            value = self.decode(encoded)
        except msgspec.DecodeError as error:
            raise self.foreign(key, error) from error
        return State(key, number, value, entry.fence, encoded, generation, entry.changed_ms)

    def foreign(self, key: str, error: Exception) -> StreamsError:
        """What to raise where the changelog holds something else."""
        return StreamsError(
            f"store {self._name}, key {key}: what its changelog holds is no {self._type.__name__} ({error}). If the "
            "type was changed, give the store another name, or its fields defaults"
        )


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


def advance(fence: Fence, to: Mapping[str, int]) -> None:
    """Raise each offset of ``fence`` to that in ``to``."""
    for topic, offset in to.items():
        if offset > fence.get(topic, -1):
            fence[topic] = offset


def is_behind(fence: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether who wrote ``fence`` had applied nothing that ``known`` had not, and less."""
    return fence != known and all(origin in known and at <= known[origin] for origin, at in fence.items())
