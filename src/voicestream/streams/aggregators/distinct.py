"""The number of distinct items."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec

from voicestream.streams.errors import TopologyError

T = TypeVar("T")

_EXACT = 128
_LOG2_REGISTERS = 11


class Seen(msgspec.Struct, array_like=True):
    """Hashes of items: a few as they are, the rest in a sketch."""

    hashes: set[int] = set()
    sketch: bytes = b""


class Distinct(Generic[T]):
    """The number of distinct items: exact up to 128, then estimated.

    The estimate is HyperLogLog's with 2,048 registers (Apache DataSketches): its relative standard error is
    1.04 / sqrt(2048) = 2.3 % (Flajolet et al. 2007), and the order of the items does not matter. Hashes take 64 bits,
    so "exact" leaves out a chance of 4e-16 that two of 128 share one. The state takes at most 3.3 kB.

    `of` gives the item of a value, or None for a value that has none. Needs the extra `sketches`.
    """

    state_type: Any = Seen

    def __init__(self, of: Callable[[T], str | None] | None = None) -> None:
        """Raises TopologyError without the library."""
        try:
            import datasketches
        except ImportError as error:
            raise TopologyError("Distinct needs datasketches: pip install 'voicestream[sketches]'") from error
        self._library: Any = datasketches
        self._of: Callable[[T], Any] = of or (lambda value: value)

    def new(self) -> Seen:
        return Seen()

    def add(self, state: Seen, value: T) -> Seen:
        item = self._of(value)
        if item is not None:
            state.hashes.add(int.from_bytes(blake2b(item.encode(), digest_size=8).digest(), "little", signed=True))
            if len(state.hashes) > _EXACT:
                self._fold(state)
        return state

    def merge(self, left: Seen, right: Seen) -> Seen:
        left.hashes |= right.hashes
        if left.sketch and right.sketch:
            union = self._library.hll_union(_LOG2_REGISTERS)
            union.update(self._sketch(left))
            union.update(self._sketch(right))
            left.sketch = union.get_result(self._library.HLL_8).serialize_compact()
        else:
            left.sketch = left.sketch or right.sketch
        if len(left.hashes) > _EXACT:
            self._fold(left)
        return left

    def result(self, state: Seen) -> int:
        if not state.sketch:
            return len(state.hashes)
        sketch = self._whole(state)
        union = self._library.hll_union(_LOG2_REGISTERS)
        union.update(sketch)
        union.update(sketch)  # changes no register, but makes the library estimate by the registers alone, not by order
        return round(float(union.get_estimate()))

    def _fold(self, state: Seen) -> None:
        """Put the hashes into the sketch: many at once, as that costs reading and writing it."""
        state.sketch = self._whole(state).serialize_compact()
        state.hashes = set()

    def _whole(self, state: Seen) -> Any:
        sketch = self._sketch(state)
        for value in sorted(state.hashes):
            sketch.update(value)
        return sketch

    def _sketch(self, state: Seen) -> Any:
        if state.sketch:
            return self._library.hll_sketch.deserialize(state.sketch)
        return self._library.hll_sketch(_LOG2_REGISTERS, self._library.HLL_8)
