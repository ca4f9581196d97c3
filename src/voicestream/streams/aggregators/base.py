"""What an aggregator is."""

from typing import Any, Protocol, TypeVar

T = TypeVar("T", contravariant=True)
A = TypeVar("A")
R = TypeVar("R", covariant=True)


class Aggregator(Protocol[T, A, R]):
    """Folds values of type T into a state of type A, and tells the result R of a state.

    A state is what the store keeps, so msgspec must be able to write and read it. A result must depend on nothing but
    the values and their order: a replay must give it again.
    """

    @property
    def state_type(self) -> Any:
        """The type of the state, for msgspec."""

    def new(self) -> A:
        """The state of no values."""

    def add(self, state: A, value: T) -> A:
        """The state with one more value: a new one, or the given one, changed."""

    def merge(self, left: A, right: A) -> A:
        """The state of the values of both: a new one, or one of the given, changed; neither is used afterwards.

        Only session windows merge states; all values of `left` come before those of `right` in event time.
        """

    def result(self, state: A) -> R:
        """What the window gives; changes nothing."""
