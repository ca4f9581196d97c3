"""Sliding windows.

The algorithm is that of Kafka Streams (KIP-450): it keeps aggregates, no records. Each record makes the window that
ends with it and, once another record is in there, the window that starts just after it. That gives every distinct set
of records that fit into the time difference, once. The state of a new window is that of a neighbour with the same
records, with or without the new one, so neighbours are kept for a while after they were closed.

Kafka Streams leaves a late record out of the windows it finds closed, and later windows that start from their state
then lack the record too. Here, a closed window's state goes on for that purpose, unseen: a window has all records of
its span that came while it was open, whatever its neighbours.
"""

from bisect import bisect_left
from dataclasses import dataclass
from operator import attrgetter

from voicestream.streams.aggregators.base import Aggregator
from voicestream.streams.windows.panes import LATE, OPEN, SEALED, SOURCE, A, Added, Pane, R, T, Windows
from voicestream.streams.windows.states import copier

_start = attrgetter("start_ms")


@dataclass(frozen=True)
class Sliding(Windows):
    """Windows [t - size, t] and [t + 1, t + 1 + size] of each record's time t. Closed when watermark > end + grace.

    Where t < size, the first is [0, size], as in Kafka Streams.
    """

    size_ms: int
    grace_ms: int

    @property
    def delay_ms(self) -> int:
        return self.grace_ms + 1

    def add(
        self, panes: list[Pane[A]], value: T, time_ms: int, watermark_ms: int, aggregator: Aggregator[T, A, R]
    ) -> Added[A]:
        open_from = watermark_ms - self.delay_ms  # windows that end past this are open
        if time_ms + self.size_ms <= open_from:
            return LATE
        left_ms = max(0, time_ms - self.size_ms)
        at = bisect_left(panes, left_ms, key=_start)
        until = bisect_left(panes, time_ms + 1, lo=at, key=_start)
        before = panes[at - 1] if at else None
        holding = [p for p in panes[at:until] if p.stage != SEALED]
        new = self._new(panes[until : until + 1], before, holding, left_ms, value, time_ms, aggregator)
        sealed = []
        for pane in holding:
            if pane.end_ms <= open_from and pane.stage == OPEN:  # closed, and not given yet: give it as it is now
                sealed.append(Pane(pane.start_ms, pane.end_ms, pane.state, pane.latest_ms, SEALED))
                pane.state = copier(aggregator.state_type)(pane.state)
                pane.stage = SOURCE
            pane.state = aggregator.add(pane.state, value)
            pane.latest_ms = max(pane.latest_ms, time_ms)
        for pane in new:
            if pane.end_ms <= open_from:
                pane.stage = SOURCE
        if new or sealed:
            panes[at : until + 1] = sorted([*panes[at : until + 1], *new, *sealed], key=_order)
        changed = [p for p in (*holding, *new) if p.stage == OPEN]
        if new:
            changed.sort(key=_start)
        return Added(changed)

    def _new(
        self,
        after: list[Pane[A]],
        before: Pane[A] | None,
        holding: list[Pane[A]],
        left_ms: int,
        value: T,
        time_ms: int,
        aggregator: Aggregator[T, A, R],
    ) -> list[Pane[A]]:
        """The windows that the record makes; the neighbours have their state of before it."""
        new = []
        copy = copier(aggregator.state_type)
        if holding and holding[0].start_ms == left_ms:
            previous_ms = holding[0].latest_ms
        else:
            previous_ms = before.latest_ms if before is not None else -1
            state = copy(before.state) if before is not None and previous_ms >= left_ms else aggregator.new()
            new.append(Pane(left_ms, left_ms + self.size_ms, aggregator.add(state, value), time_ms))
        # The window after the record before this one had no record until now.
        if left_ms <= previous_ms < time_ms and all(p.start_ms != previous_ms + 1 for p in holding):
            state = aggregator.add(aggregator.new(), value)
            new.append(Pane(previous_ms + 1, previous_ms + 1 + self.size_ms, state, time_ms))
        # The window after this record has what its neighbour has, if that is past this record.
        right_ms = time_ms + 1
        if holding and holding[-1].latest_ms > time_ms and not (after and after[0].start_ms == right_ms):
            source = holding[-1]
            new.append(Pane(right_ms, right_ms + self.size_ms, copy(source.state), source.latest_ms))
        return new

    def close(self, panes: list[Pane[A]], watermark_ms: int) -> list[Pane[A]]:
        open_from = watermark_ms - self.delay_ms
        closed, kept, seen = [], [], 0
        for pane in panes:  # in order of start, hence of end
            if pane.end_ms > open_from:
                break
            seen += 1
            if pane.stage != SOURCE:
                closed.append(Pane(pane.start_ms, pane.end_ms, pane.state, pane.latest_ms))
            # A record that is not late yet takes its state from windows that end at most two sizes before.
            if pane.stage != SEALED and pane.end_ms + 2 * self.size_ms > open_from:
                pane.stage = SOURCE
                kept.append(pane)
        panes[:seen] = kept
        return closed

    def deadline(self, panes: list[Pane[A]]) -> int | None:
        if not panes:
            return None
        for pane in panes:
            if pane.stage != SOURCE:
                return pane.end_ms + self.delay_ms
        return panes[-1].end_ms + 2 * self.size_ms + self.delay_ms


def _order(pane: Pane[A]) -> tuple[int, bool]:
    return pane.start_ms, pane.stage != SEALED
