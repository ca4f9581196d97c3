"""The most frequent items."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from voicestream.streams.errors import TopologyError

T = TypeVar("T")


class Counters(msgspec.Struct, array_like=True):
    """Counts by item. `missed`: what each may be short of."""

    counts: dict[str, int] = {}
    missed: int = 0


class TopK(Generic[T]):
    """The `k` most frequent items with their counts, as [("billing", 12), ("refund", 7)]; equal counts by item.

    Counts are exact while there are at most 2 * `counters` distinct items. Past that, small ones are dropped: a count
    is then never too high and at most n / (counters + 1) too low, for n values, and an item that is more frequent than
    that is never lost. (Misra and Gries 1982, cut in batches as by Anderson et al., A High-Performance Algorithm for
    Identifying Frequent Items in Data Streams, IMC 2017; merging: Agarwal et al., Mergeable Summaries, PODS 2012.)
    Without `counters` there are 8 * `k`, at least 128.

    `of` gives the item of a value, or None for a value that has none.
    """

    state_type: Any = Counters

    def __init__(self, k: int, of: Callable[[T], str | None] | None = None, counters: int | None = None) -> None:
        """Raises TopologyError if `k` is less than 1 or there are fewer counters than that."""
        counters = max(8 * k, 128) if counters is None else counters
        if not 1 <= k <= counters:
            raise TopologyError(f"TopK: k must be at least 1 and at most the {counters} counters, not {k}")
        self._k = k
        self._counters = counters
        self._of: Callable[[T], Any] = of or (lambda value: value)

    def new(self) -> Counters:
        return Counters()

    def add(self, state: Counters, value: T) -> Counters:
        item = self._of(value)
        if item is not None:
            state.counts[item] = state.counts.get(item, 0) + 1
            if len(state.counts) > 2 * self._counters:
                self._cut(state)
        return state

    def merge(self, left: Counters, right: Counters) -> Counters:
        for item, count in right.counts.items():
            left.counts[item] = left.counts.get(item, 0) + count
        left.missed += right.missed
        if len(left.counts) > 2 * self._counters:
            self._cut(left)
        return left

    def result(self, state: Counters) -> list[tuple[str, int]]:
        return sorted(state.counts.items(), key=lambda item: (-item[1], item[0]))[: self._k]

    def _cut(self, state: Counters) -> None:
        """Take off all counts what the first too many has; the count of values falls by counters + 1 times as much."""
        cut = sorted(state.counts.values(), reverse=True)[self._counters]
        state.counts = {item: count - cut for item, count in state.counts.items() if count > cut}
        state.missed += cut
