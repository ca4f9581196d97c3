"""Session windows."""

from dataclasses import dataclass
from typing import Any

from voicestream.streams.aggregators.base import Aggregator
from voicestream.streams.errors import TopologyError
from voicestream.streams.windows.panes import LATE, A, Added, Pane, R, T, Windows


@dataclass(frozen=True)
class Session(Windows):
    """Records of which each is at most `gap` from the next. Closed when watermark > end + gap + grace.

    A record merges all sessions that it reaches. A closed session takes no record any more, not even one that would
    bridge it to an open session.
    """

    gap_ms: int
    grace_ms: int

    @property
    def delay_ms(self) -> int:
        return self.gap_ms + self.grace_ms + 1  # a record at end + gap still belongs to the session

    def add(
        self, panes: list[Pane[A]], value: T, time_ms: int, watermark_ms: int, aggregator: Aggregator[T, A, R]
    ) -> Added[A]:
        open_from = watermark_ms - self.delay_ms
        low, high = time_ms - self.gap_ms, time_ms + self.gap_ms
        reached = [p for p in panes if p.end_ms >= low and p.start_ms <= high and p.end_ms > open_from]
        if not reached:
            if time_ms <= open_from:
                return LATE
            pane = Pane(time_ms, time_ms, aggregator.add(aggregator.new(), value))
            _insert(panes, pane)
            return Added((pane,))
        pane = reached[0]
        if len(reached) == 1 and pane.start_ms <= time_ms <= pane.end_ms:
            pane.state = aggregator.add(pane.state, value)
            return Added((pane,))
        state = pane.state
        for other in reached[1:]:
            state = aggregator.merge(state, other.state)
        start = min(pane.start_ms, time_ms)
        end = max(time_ms, max(p.end_ms for p in reached))
        merged = Pane(start, end, aggregator.add(state, value))
        gone = set(map(id, reached))
        panes[:] = [p for p in panes if id(p) not in gone]
        _insert(panes, merged)
        return Added((merged,), reached)

    def close(self, panes: list[Pane[A]], watermark_ms: int) -> list[Pane[A]]:
        open_from = watermark_ms - self.delay_ms
        closed = [p for p in panes if p.end_ms <= open_from]
        if closed:
            panes[:] = [p for p in panes if p.end_ms > open_from]
            closed.sort(key=lambda p: (p.end_ms, p.start_ms))
        return closed

    def deadline(self, panes: list[Pane[A]]) -> int | None:
        return min(p.end_ms for p in panes) + self.delay_ms if panes else None

    def check(self, aggregator: Aggregator[Any, Any, Any]) -> None:
        if not getattr(aggregator, "mergeable", True):
            raise TopologyError(
                "a record between two sessions makes them one: say with merge= how one state is made of two, as in "
                "aggregate(int, add, merge=operator.add)"
            )


def _insert(panes: list[Pane[A]], pane: Pane[A]) -> None:
    at = len(panes)
    while at and panes[at - 1].start_ms > pane.start_ms:
        at -= 1
    panes.insert(at, pane)
