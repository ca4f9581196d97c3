"""Aggregators of numbers: sum, mean, least and greatest.

Each takes `of`, which gives the number of a value, or None for a value that has none. Numbers must be finite: others
raise ValueError, and the record goes where the stream's error policy says.
"""

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Total(msgspec.Struct, array_like=True):
    """An exact sum of floats: the sum of `parts`, which do not overlap."""

    parts: list[float] = []
    count: int = 0


def number(value: object) -> float | None:
    """A finite number as a float; None stays None. Raises ValueError for what is neither."""
    if value is None:
        return None
    x = float(value)  # type: ignore[arg-type]  # raises its own error for what is no number
    if not math.isfinite(x):
        raise ValueError(f"no finite number: {x}")
    return x


class _OfNumbers(Generic[T]):
    def __init__(self, of: Callable[[T], float | None] | None = None) -> None:
        self._of: Callable[[T], object] = of or (lambda value: value)

    def _number(self, value: T) -> float | None:
        return number(self._of(value))


class _OfTotals(_OfNumbers[T]):
    state_type: Any = Total

    def new(self) -> Total:
        return Total()

    def add(self, state: Total, value: T) -> Total:
        x = self._number(value)
        if x is not None:
            _grow(state.parts, x)
            state.count += 1
        return state

    def merge(self, left: Total, right: Total) -> Total:
        for part in right.parts:
            _grow(left.parts, part)
        left.count += right.count
        return left


class Sum(_OfTotals[T]):
    """The sum: the exact one, rounded once to a float, so the order of the values does not matter. 0 of none."""

    def result(self, state: Total) -> float:
        return math.fsum(state.parts)


class Mean(_OfTotals[T]):
    """The mean: the exact sum, rounded once, by the count, so the order of the values does not matter. None of none."""

    def result(self, state: Total) -> float | None:
        return math.fsum(state.parts) / state.count if state.count else None


class _OfExtremes(_OfNumbers[T]):
    state_type: Any = float | None

    _further: Callable[[float, float], float]

    def new(self) -> float | None:
        return None

    def add(self, state: float | None, value: T) -> float | None:
        return self.merge(state, self._number(value))

    def merge(self, left: float | None, right: float | None) -> float | None:
        if left is None or right is None:
            return right if left is None else left
        return self._further(left, right)

    def result(self, state: float | None) -> float | None:
        return state


class Min(_OfExtremes[T]):
    """The least number, as a float. None of none."""

    _further = staticmethod(min)


class Max(_OfExtremes[T]):
    """The greatest number, as a float. None of none."""

    _further = staticmethod(max)


def _grow(parts: list[float], x: float) -> None:
    """Add a number to an exact sum.

    Grow-Expansion of J. R. Shewchuk, Adaptive Precision Floating-Point Arithmetic and Fast Robust Predicates, 1997.
    Parts that became zero are left out, so there are one to three of them for numbers of like size.
    """
    grown = []
    for part in parts:
        if abs(x) < abs(part):
            x, part = part, x
        high = x + part
        low = part - (high - x)
        if low:
            grown.append(low)
        x = high
    if not math.isfinite(x):
        raise ValueError("the sum is past the range of a float")
    grown.append(x)
    parts[:] = grown
