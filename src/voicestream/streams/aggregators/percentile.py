"""Percentiles from a sketch.

DDSketch (Masson, Rim, Lee: DDSketch, a fast and fully-mergeable quantile sketch with relative-error guarantees, VLDB
2019, arXiv:1908.10693): counts in buckets of which each is a constant factor wide. Unlike KLL, which draws random
numbers, and t-digest, which has no bound on its error, its result depends on nothing but the set of values.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
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
    of at most `error`; the least and the greatest are exact. Numbers nearer to 0 than 1e-9 count as 0.
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
        below, above = sorted(state.below, reverse=True), sorted(state.above)
        counts = [*map(state.below.__getitem__, below), state.zero, *map(state.above.__getitem__, above)]
        upto = list(accumulate(counts))
        if not upto[-1]:
            return {}
        results = {}
        for name, share in self._shares.items():
            place = math.floor(share * (upto[-1] - 1))
            if place in (0, upto[-1] - 1):
                results[name] = state.greatest if place else state.least
                continue
            at = bisect_right(upto, place)
            if at == len(below):
                value = 0.0
            elif at < len(below):
                value = -self._middle * math.exp(below[at] * self._log)
            else:
                value = self._middle * math.exp(above[at - len(below) - 1] * self._log)
            results[name] = min(max(value, state.least), state.greatest)
        return results
