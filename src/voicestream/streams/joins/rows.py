"""The rows of one key that wait for partners, and what the joins of two streams have in common.

A watermark of ``w`` says that rows of an event time below ``w`` are no longer expected; those that are at most
``grace`` behind it are waited for all the same. Times are event times in ms.
"""

from typing import Generic, Literal, Protocol, TypeVar

import msgspec

L = TypeVar("L")
R = TypeVar("R")
V = TypeVar("V")

How = Literal["inner", "left", "outer"]

Pair = tuple[L | None, R | None, int]
"""Left, right (``None``: there is none), event time."""


class Row(msgspec.Struct, Generic[V], array_like=True):
    """A row that waits; ``matched`` when it is in a result already."""

    time_ms: int
    value: V
    matched: bool = False


class Buffers(msgspec.Struct, Generic[L, R]):
    """The rows of one key, each side in order of time. Give a store's type as ``Buffers[Left, Right]``."""

    left: list[Row[L]] = []
    right: list[Row[R]] = []

    @property
    def empty(self) -> bool:
        """Whether nothing waits, so that the entry can go."""
        return not self.left and not self.right


class Joined(msgspec.Struct, Generic[L, R]):
    """What came of one row. ``late``: nothing, and it has not been kept, because it came too late."""

    pairs: list[Pair[L, R]]
    late: bool = False


class StreamJoin(Protocol):
    """A join of two streams. All calls change ``buffers``; the watermark must not go back."""

    @property
    def delay_ms(self) -> int:
        """How far the watermark may be past the time of a result when ``expire`` gives it."""

    def add_left(self, buffers: Buffers[L, R], value: L, time_ms: int, watermark_ms: int) -> Joined[L, R]:
        """Add a row of the left stream: the results that it gives."""

    def add_right(self, buffers: Buffers[L, R], value: R, time_ms: int, watermark_ms: int) -> Joined[L, R]:
        """Add a row of the right stream: the results that it gives."""

    def expire(self, buffers: Buffers[L, R], watermark_ms: int) -> list[Pair[L, R]]:
        """Drop what no row to come can need: the results that this decides, in order of time."""

    def deadline(self, buffers: Buffers[L, R]) -> int | None:
        """The smallest watermark at which ``expire`` has something to do; ``None`` when there is none."""


def row_time(row: Row[V]) -> int:
    """The event time of a row: the key to bisect rows with."""
    return row.time_ms
