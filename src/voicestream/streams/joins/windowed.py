"""Joins two streams whose rows are near each other in time: Kafka Streams' KStream-KStream join, and interval joins.

The results are those of Kafka Streams since 3.1: a pair as soon as its second row is there, a row that is left over
once, when its window and the grace are over (KIP-633, KAFKA-10847).
"""

from bisect import bisect_left, bisect_right, insort_right
from enum import Enum

import msgspec

from voicestream.streams.joins.rows import Buffers, How, Joined, L, Pair, R, Row, row_time


class Within(msgspec.Struct, frozen=True):
    """Which right rows match a left row: ``left - before_ms <= right <= left + after_ms``, in event time.

    A negative bound makes an interval beside the row: ``Within(-10, 20)`` is 10 to 20 ms behind it. Rows that come
    up to ``grace_ms`` behind the watermark still count. Raises ``ValueError`` where no row could match.
    """

    before_ms: int
    after_ms: int
    grace_ms: int = 0

    def __post_init__(self) -> None:
        if self.before_ms + self.after_ms < 0:
            raise ValueError(
                f"a join within {self.before_ms} ms before and {self.after_ms} ms after matches nothing: "
                "the interval ends before it starts"
            )
        if self.grace_ms < 0:
            raise ValueError(f"a join has a grace of {self.grace_ms} ms: it must be 0 or more")

    @property
    def open_for_ms(self) -> int:
        """How far the watermark may be past a left row while right rows that match it are still waited for."""
        return self.after_ms + self.grace_ms


class WindowedJoin:
    """Joins rows of two streams that are within an interval of each other, for one key at a time."""

    def __init__(self, within: Within, how: How = "inner") -> None:
        self.within = within
        self.how = how
        self._of_left = within
        self._of_right = Within(within.after_ms, within.before_ms, within.grace_ms)
        self._keeps_left = how != "inner"
        self._keeps_right = how == "outer"
        self.delay_ms = max(self._of_left.open_for_ms, self._of_right.open_for_ms) + 1

    def add_left(self, buffers: Buffers[L, R], value: L, time_ms: int, watermark_ms: int) -> Joined[L, R]:
        """Add a left row: its pairs with the right rows that are there, in order of their time."""
        found, fate = _add(buffers.left, buffers.right, value, time_ms, watermark_ms, self._of_left)
        pairs: list[Pair[L, R]] = [(value, row.value, max(time_ms, row.time_ms)) for row in found]
        if fate is _Fate.ALONE and self._keeps_left:
            pairs.append((value, None, time_ms))
        return Joined(pairs, fate is _Fate.LATE)

    def add_right(self, buffers: Buffers[L, R], value: R, time_ms: int, watermark_ms: int) -> Joined[L, R]:
        """Add a right row: its pairs with the left rows that are there, in order of their time."""
        found, fate = _add(buffers.right, buffers.left, value, time_ms, watermark_ms, self._of_right)
        pairs: list[Pair[L, R]] = [(row.value, value, max(time_ms, row.time_ms)) for row in found]
        if fate is _Fate.ALONE and self._keeps_right:
            pairs.append((None, value, time_ms))
        return Joined(pairs, fate is _Fate.LATE)

    def expire(self, buffers: Buffers[L, R], watermark_ms: int) -> list[Pair[L, R]]:
        """Drop the rows that can match nothing any more: those left over that the join wants, in order of time."""
        left = _drop(buffers.left, watermark_ms - self._of_left.open_for_ms)
        right = _drop(buffers.right, watermark_ms - self._of_right.open_for_ms)
        over: list[Pair[L, R]] = []
        if self._keeps_left:
            over.extend((row.value, None, row.time_ms) for row in left if not row.matched)
        if self._keeps_right:
            over.extend((None, row.value, row.time_ms) for row in right if not row.matched)
        over.sort(key=_pair_time)
        return over

    def deadline(self, buffers: Buffers[L, R]) -> int | None:
        """The smallest watermark at which ``expire`` drops a row; ``None`` when there is none."""
        ends = [row.time_ms + self._of_left.open_for_ms for row in buffers.left[:1]]
        ends += [row.time_ms + self._of_right.open_for_ms for row in buffers.right[:1]]
        return min(ends) + 1 if ends else None


class _Fate(Enum):
    """What becomes of a row that was added."""

    KEPT = "kept"  # more partners may come
    PAIRED = "paired"  # no more partners can come
    ALONE = "alone"  # it came in time, but all that could match it would have come before it
    LATE = "late"


def _add(
    own: list[Row[L]], other: list[Row[R]], value: L, time_ms: int, watermark_ms: int, within: Within
) -> tuple[list[Row[R]], _Fate]:
    """Keep a row of the side ``own`` if partners may come; the partners that are there, and its fate."""
    found: list[Row[R]] = []
    if other:
        # A row that expire has yet to drop counts as dropped: when it was called last must make no difference.
        first_ms = max(time_ms, watermark_ms - within.grace_ms) - within.before_ms
        start = bisect_left(other, first_ms, key=row_time)
        found = other[start : bisect_right(other, time_ms + within.after_ms, start, key=row_time)]
        for partner in found:
            partner.matched = True
    if time_ms + within.open_for_ms >= watermark_ms:
        insort_right(own, Row(time_ms, value, bool(found)), key=row_time)
        return found, _Fate.KEPT
    if found:
        return found, _Fate.PAIRED
    return found, _Fate.ALONE if time_ms + within.grace_ms >= watermark_ms else _Fate.LATE


def _drop(rows: list[Row[L]], before_ms: int) -> list[Row[L]]:
    """Take the rows of times below ``before_ms`` out."""
    if not rows or rows[0].time_ms >= before_ms:
        return []
    count = bisect_left(rows, before_ms, key=row_time)
    dropped = rows[:count]
    del rows[:count]
    return dropped


def _pair_time(pair: Pair[L, R]) -> int:
    return pair[2]
