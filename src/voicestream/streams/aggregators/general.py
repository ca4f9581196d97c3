"""Aggregators of any function, count, and collect."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from voicestream.streams.errors import TopologyError

T = TypeVar("T")
A = TypeVar("A")

_CONTAINERS = (list, dict, set, frozenset, tuple, type(None))


class Fold(Generic[T, A]):
    """The state that `add` makes of `initial()` and each value in turn; the result is the state.

    `merge` joins two states, which session windows need. `type` is the type of the state for the store; without it the
    class of `initial()` is taken, which does not say enough for a list, dict, set, tuple or None.
    """

    def __init__(
        self,
        initial: Callable[[], A],
        add: Callable[[A, T], A],
        merge: Callable[[A, A], A] | None = None,
        type: Any = None,
    ) -> None:
        """Raises TopologyError if `type` is missing and `initial()` does not tell it."""
        if type is None:
            type = initial().__class__
            if issubclass(type, _CONTAINERS):
                raise TopologyError(f"Fold: give type=, such as list[int]: {type.__name__} does not say what is in it")
        self.state_type = type
        self.mergeable = merge is not None
        self._initial = initial
        self._add = add
        self._merge = merge

    def new(self) -> A:
        return self._initial()

    def add(self, state: A, value: T) -> A:
        return self._add(state, value)

    def merge(self, left: A, right: A) -> A:
        if self._merge is None:
            raise TopologyError("Fold: give merge=: session windows join the states of sessions that grow together")
        return self._merge(left, right)

    def result(self, state: A) -> A:
        return state


class Reduce(Generic[T]):
    """The first value, then what `fn` makes of the value so far and each next one. `type` is the type of a value.

    `fn` must be associative: session windows also call it with the values of two sessions.
    """

    def __init__(self, fn: Callable[[T, T], T], type: Any) -> None:
        self.state_type = type | None
        self._fn = fn

    def new(self) -> T | None:
        return None

    def add(self, state: T | None, value: T) -> T | None:
        return value if state is None else self._fn(state, value)

    def merge(self, left: T | None, right: T | None) -> T | None:
        if left is None or right is None:
            return right if left is None else left
        return self._fn(left, right)

    def result(self, state: T | None) -> T:
        if state is None:
            raise ValueError("Reduce: a window without a value has no result")
        return state


class Count:
    """The number of values, of any type."""

    state_type: Any = int

    def new(self) -> int:
        return 0

    def add(self, state: int, value: object) -> int:
        return state + 1

    def merge(self, left: int, right: int) -> int:
        return left + right

    def result(self, state: int) -> int:
        return state


class Collect(Generic[T]):
    """All values, as a list in the order they came in. `type` is the type of a value.

    The whole list is in the state and written with each change: meant for windows of tens of values. A session that
    grew out of two has the values of the earlier one first.
    """

    def __init__(self, type: Any) -> None:
        self.state_type = list[type]

    def new(self) -> list[T]:
        return []

    def add(self, state: list[T], value: T) -> list[T]:
        state.append(value)
        return state

    def merge(self, left: list[T], right: list[T]) -> list[T]:
        left.extend(right)
        return left

    def result(self, state: list[T]) -> list[T]:
        return list(state)
