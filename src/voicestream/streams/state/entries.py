"""What a store is made of, entries and metas, and how both look in the changelog."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgspec

from voicestream.streams.errors import StreamsError

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

    def check(self, key: str, data: bytes) -> None:
        """Raise ``StreamsError`` where the value in a record for the changelog could not be read back from there."""
        raw = bytes(unpack(data).value)
        try:
            self.decode(None if raw == NIL else raw)
        except msgspec.DecodeError as error:
            raise StreamsError(
                f"store {self._name}, key {key}: a worker that is started anew could not read this value, which is no "
                f"{getattr(self._type, '__name__', self._type)} ({error}): declare the type that the values have"
            ) from error

    def foreign(self, key: str, error: Exception) -> StreamsError:
        """What to raise where the changelog holds something else."""
        return StreamsError(
            f"store {self._name}, key {key}: what its changelog holds is no {self._type.__name__} ({error}). If the "
            "type was changed, give the store another name, or its fields defaults"
        )


def advance(fence: Fence, to: Mapping[str, int]) -> None:
    """Raise each offset of ``fence`` to that in ``to``."""
    for topic, offset in to.items():
        if offset > fence.get(topic, -1):
            fence[topic] = offset


def is_behind(fence: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether who wrote ``fence`` had applied nothing that ``known`` had not, and less."""
    return fence != known and all(origin in known and at <= known[origin] for origin, at in fence.items())
