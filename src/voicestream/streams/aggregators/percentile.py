"""Percentiles from a sketch.

DDSketch (Masson, Rim, Lee: DDSketch, a fast and fully-mergeable quantile sketch with relative-error guarantees, VLDB
2019, arXiv:1908.10693): counts in buckets of which each is a constant factor wide. Unlike KLL, which draws random
numbers, and t-digest, which has no bound on its error, its result depends on nothing but the set of values.
"""

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from voicestream.streams.aggregators.numbers import number
from voicestream.streams.errors import TopologyError

T = TypeVar("T")

_ZERO = 1e-9


class Buckets(msgspec.Struct, array_like=True):
    """Counts by bucket: bucket i has the sizes in (g**(i-1), g**i], where g = (1 + error) / (1 - error)."""

    above: dict[int, int] = {}
    below: dict[int, int] = {}
    """The negative numbers, by their size."""
    zero: int = 0
    least: float = math.inf
    greatest: float = -math.inf


class Percentile(Generic[T]):
    """The values below which the given shares of the numbers are, as {"p50": 1.2, "p99.9": 3.4}; {} of none.

    For a share s of n numbers that is the one at place floor(s * (n - 1)) in their order, from 0, with a relative error
    of at most `error`; the least (s = 0) and the greatest (s = 1) are exact. Numbers nearer to 0 than 1e-9 count as 0.
    `of` gives the number of a value, or None for a value that has none; it must be finite, or ValueError is raised.

    The state has a count for each bucket that is not empty: at the usual error of 1 %, at most 115 for each factor of
    10 between the least and the greatest.
    """

    state_type: Any = Buckets

    def __init__(self, *shares: float, of: Callable[[T], float | None] | None = None, error: float = 0.01) -> None:
        """Raises TopologyError for a share outside 0 to 1, for none, and for an error outside 0.0001 to 0.5."""
        if not shares or not all(0 <= share <= 1 for share in shares):
            raise TopologyError(f"Percentile: give shares from 0 to 1, such as 0.5, 0.95; not {shares}")
        if not 1e-4 <= error <= 0.5:
            raise TopologyError(f"Percentile: give an error from 0.0001 to 0.5, not {error}")
        self._shares = {f"p{share * 100:.12g}": share for share in shares}
        self._of: Callable[[T], object] = of or (lambda value: value)
        self._middle = 1 - error  # of a bucket, as a factor of its upper bound: equally far from both, relatively
        self._log = math.log((1 + error) / (1 - error))

    def new(self) -> Buckets:
        return Buckets()

    def add(self, state: Buckets, value: T) -> Buckets:
        x = number(self._of(value))
        if x is None:
            return state
        size = abs(x)
        if size < _ZERO:
            state.zero += 1
        else:
            counts = state.above if x > 0 else state.below
            bucket = math.ceil(math.log(size) / self._log)
            counts[bucket] = counts.get(bucket, 0) + 1
        if x < state.least:
            state.least = x
        if x > state.greatest:
            state.greatest = x
        return state

    def merge(self, left: Buckets, right: Buckets) -> Buckets:
        for counts, others in ((left.above, right.above), (left.below, right.below)):
            for bucket, count in others.items():
                counts[bucket] = counts.get(bucket, 0) + count
        left.zero += right.zero
        left.least = min(left.least, right.least)
        left.greatest = max(left.greatest, right.greatest)
        return left

    def result(self, state: Buckets) -> dict[str, float]:
        counts = [(-self._value(b), c) for b, c in sorted(state.below.items(), reverse=True)]
        counts.append((0.0, state.zero))
        counts += [(self._value(b), c) for b, c in sorted(state.above.items())]
        total = sum(count for _, count in counts)
        return {name: self._at(state, counts, share, total) for name, share in self._shares.items()} if total else {}

    def _at(self, state: Buckets, counts: list[tuple[float, int]], share: float, total: int) -> float:
        place = math.floor(share * (total - 1))
        if place == total - 1:
            return state.greatest
        for value, count in counts:
            place -= count
            if place < 0:
                return min(max(value, state.least), state.greatest)
        raise AssertionError("a place past the last number")

    def _value(self, bucket: int) -> float:
        return self._middle * math.exp(bucket * self._log)
