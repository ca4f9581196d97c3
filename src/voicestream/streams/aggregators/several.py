"""Several aggregators over the same values."""

from typing import Any, Generic, TypeVar

from voicestream.streams.aggregators.base import Aggregator

T = TypeVar("T")


class Several(Generic[T]):
    """The results of several aggregators by name: Several(calls=Count(), mean=Mean(of=...)) gives a dict of both."""

    def __init__(self, **named: Aggregator[T, Any, Any]) -> None:
        self._names = tuple(named)
        self._parts = tuple(named.values())
        self.state_type: Any = tuple[tuple(part.state_type for part in self._parts)]  # type: ignore[misc]
        self.mergeable = all(getattr(part, "mergeable", True) for part in self._parts)

    def new(self) -> tuple[Any, ...]:
        return tuple([part.new() for part in self._parts])

    def add(self, state: tuple[Any, ...], value: T) -> tuple[Any, ...]:
        return tuple([part.add(each, value) for part, each in zip(self._parts, state, strict=True)])

    def merge(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple([part.merge(a, b) for part, a, b in zip(self._parts, left, right, strict=True)])

    def result(self, state: tuple[Any, ...]) -> dict[str, Any]:
        return {name: part.result(each) for name, part, each in zip(self._names, self._parts, state, strict=True)}
