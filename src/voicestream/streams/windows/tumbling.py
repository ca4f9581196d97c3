"""Tumbling windows."""

from dataclasses import dataclass

from voicestream.streams.aggregators.base import Aggregator
from voicestream.streams.windows.panes import LATE, A, Added, Pane, R, T, Windows


@dataclass(frozen=True, slots=True)
class Tumbling(Windows):
    """Windows [n * size, (n + 1) * size): each record is in one. Closed when watermark >= end + grace."""

    size_ms: int
    grace_ms: int

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

    def close(self, panes: list[Pane[A]], watermark_ms: int) -> list[Pane[A]]:
        count = 0
        for pane in panes:
            if pane.end_ms + self.grace_ms > watermark_ms:
                break
            count += 1
        closed = panes[:count]
        del panes[:count]
        return closed

    def deadline(self, panes: list[Pane[A]]) -> int | None:
        return panes[0].end_ms + self.grace_ms if panes else None
