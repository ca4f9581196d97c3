"""Windows whose bounds are fixed by the clock: tumbling and hopping."""

from dataclasses import dataclass
from typing import ClassVar

from voicestream.streams.aggregators.base import Aggregator
from voicestream.streams.windows.panes import LATE, A, Added, Pane, R, T, Windows


@dataclass(frozen=True)
class _Fixed(Windows):
    behind_ms: ClassVar[int] = 1
    size_ms: int
    grace_ms: int

    @property
    def delay_ms(self) -> int:
        return self.grace_ms

    def close(self, panes: list[Pane[A]], watermark_ms: int) -> list[Pane[A]]:
        count = 0
        for pane in panes:  # in order of start, hence of end
            if pane.end_ms + self.grace_ms > watermark_ms:
                break
            count += 1
        closed = panes[:count]
        del panes[:count]
        return closed

    def deadline(self, panes: list[Pane[A]]) -> int | None:
        return panes[0].end_ms + self.grace_ms if panes else None


@dataclass(frozen=True)
class Tumbling(_Fixed):
    """Windows [n * size, (n + 1) * size): each record is in one. Closed when watermark >= end + grace."""

    def add(
        self, panes: list[Pane[A]], value: T, time_ms: int, watermark_ms: int, aggregator: Aggregator[T, A, R]
    ) -> Added[A]:
        size = self.size_ms
        start = time_ms - time_ms % size
        end = start + size
        if end + self.grace_ms <= watermark_ms:
            return LATE
        at = len(panes)
        while at:
            pane = panes[at - 1]
            if pane.start_ms == start:
                pane.state = aggregator.add(pane.state, value)
                return Added((pane,))
            if pane.start_ms < start:
                break
            at -= 1
        pane = Pane(start, end, aggregator.add(aggregator.new(), value))
        panes.insert(at, pane)
        return Added((pane,))


@dataclass(frozen=True)
class Hopping(_Fixed):
    """Windows [n * advance, n * advance + size), n >= 0. Closed when watermark >= end + grace."""

    advance_ms: int

    def add(
        self, panes: list[Pane[A]], value: T, time_ms: int, watermark_ms: int, aggregator: Aggregator[T, A, R]
    ) -> Added[A]:
        size, advance = self.size_ms, self.advance_ms
        last = time_ms - time_ms % advance
        lowest = max(time_ms, watermark_ms - self.grace_ms) - size  # a start past this: holds the record, and is open
        first = max(0, lowest - lowest % advance + advance)
        if first > last:
            return LATE
        at = len(panes)
        while at and panes[at - 1].start_ms >= first:
            at -= 1
        changed = []
        for start in range(first, last + 1, advance):
            if at < len(panes) and panes[at].start_ms == start:
                pane = panes[at]
                pane.state = aggregator.add(pane.state, value)
            else:
                pane = Pane(start, start + size, aggregator.add(aggregator.new(), value))
                panes.insert(at, pane)
            changed.append(pane)
            at += 1
        return Added(changed)
