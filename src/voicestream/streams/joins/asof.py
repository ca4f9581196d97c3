"""Joins each row of a stream with the newest row of another that is not newer than itself: the as-of join.

The answer for a left row is out once the watermark has passed its time and the grace: until then a right row that
changes it may come.
"""

from bisect import bisect_right, insort_right
from typing import Literal

from voicestream.streams.joins.rows import Buffers, Joined, L, Pair, R, Row, row_time


class AsOfJoin:
    """Joins left rows with the right row that was valid at their time, for one key at a time.

    ``tolerance_ms`` is how much older the right row may be; ``None``: any age, as the rows of a table. ``left`` gives
    out a left row without a partner too. Of right rows of the same time the one that came last counts. Raises
    ``ValueError`` for negative times.
    """

    def __init__(
        self, how: Literal["inner", "left"] = "inner", *, grace_ms: int = 0, tolerance_ms: int | None = None
    ) -> None:
        if grace_ms < 0 or (tolerance_ms is not None and tolerance_ms < 0):
            raise ValueError(
                f"an as-of join has a grace of {grace_ms} ms and a tolerance of {tolerance_ms} ms: must be 0 or more"
            )
        self.how = how
        self.grace_ms = grace_ms
        self.tolerance_ms = tolerance_ms
        self.delay_ms = grace_ms + 1

    def add_left(self, buffers: Buffers[L, R], value: L, time_ms: int, watermark_ms: int) -> Joined[L, R]:
        """Add a left row, to be answered later: the answers that are due. Late: its own has been due before."""
        pairs = self.expire(buffers, watermark_ms)
        if time_ms + self.grace_ms < watermark_ms:
            return Joined(pairs, late=True)
        insort_right(buffers.left, Row(time_ms, value), key=row_time)
        return Joined(pairs)

    def add_right(self, buffers: Buffers[L, R], value: R, time_ms: int, watermark_ms: int) -> Joined[L, R]:
        """Add a right row: the answers that are due, without it. Late: no answer to come could be this row."""
        pairs = self.expire(buffers, watermark_ms)
        rights = buffers.right
        horizon_ms = watermark_ms - self.grace_ms
        replaced = bool(rights) and time_ms < rights[0].time_ms <= horizon_ms
        too_old = self.tolerance_ms is not None and time_ms + self.tolerance_ms < horizon_ms
        if replaced or too_old:
            return Joined(pairs, late=True)
        insort_right(rights, Row(time_ms, value), key=row_time)
        self._forget(rights, horizon_ms)
        return Joined(pairs)

    def expire(self, buffers: Buffers[L, R], watermark_ms: int) -> list[Pair[L, R]]:
        """The answers that are due at this watermark, in order of time. Drops the right rows that none can need."""
        horizon_ms = watermark_ms - self.grace_ms
        pairs: list[Pair[L, R]] = []
        due = 0
        for row in buffers.left:
            if row.time_ms >= horizon_ms:
                break
            due += 1
            partner = self._partner(buffers.right, row.time_ms)
            if partner is not None or self.how == "left":
                pairs.append((row.value, partner.value if partner else None, row.time_ms))
        if due:
            del buffers.left[:due]
        self._forget(buffers.right, horizon_ms)
        return pairs

    def deadline(self, buffers: Buffers[L, R]) -> int | None:
        """The smallest watermark at which an answer is due or a right row too old for any; ``None``: never."""
        times = [row.time_ms for row in buffers.left[:1]]
        if self.tolerance_ms is not None:
            times += [row.time_ms + self.tolerance_ms for row in buffers.right[:1]]
        return min(times) + self.grace_ms + 1 if times else None

    def _partner(self, rights: list[Row[R]], time_ms: int) -> Row[R] | None:
        at = bisect_right(rights, time_ms, key=row_time)
        if not at or (self.tolerance_ms is not None and rights[at - 1].time_ms + self.tolerance_ms < time_ms):
            return None
        return rights[at - 1]

    def _forget(self, rights: list[Row[R]], horizon_ms: int) -> None:
        """Drop what no left row of ``horizon_ms`` or later can be answered with."""
        first = 0
        while first + 1 < len(rights) and rights[first + 1].time_ms <= horizon_ms:
            first += 1
        if self.tolerance_ms is not None:
            while first < len(rights) and rights[first].time_ms + self.tolerance_ms < horizon_ms:
                first += 1
        if first:
            del rights[:first]
