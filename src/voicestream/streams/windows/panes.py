"""What windows keep and give: pure data, and the interface of all kinds of windows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from voicestream.streams.aggregators.base import Aggregator
from voicestream.streams.durations import format_duration

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

OPEN, SOURCE, SEALED = 0, 1, 2


class Windowed(msgspec.Struct, Generic[A], frozen=True):
    """The result of one window of one key.

    Bounds are milliseconds of event time. Tumbling and hopping windows hold the times start_ms <= t < end_ms; sliding
    windows start_ms <= t <= end_ms; a session runs from its first record, at start_ms, to its last, at end_ms.
    """

    key: str
    start_ms: int
    end_ms: int
    value: A
    final: bool
    """Nothing can change this result: the window is closed."""


class Pane(msgspec.Struct, Generic[A], array_like=True):
    """A window of one key as the store keeps it; bounds as in `Windowed`."""

    start_ms: int
    end_ms: int
    state: A
    latest_ms: int = 0
    """Sliding windows: the highest time of a record in it."""
    stage: int = OPEN
    """OPEN; or, in sliding windows only, SOURCE: closed and given, kept because later windows start from its state;
    SEALED: closed and not yet given, while its SOURCE goes on taking late records."""


class Added(msgspec.Struct, Generic[A], gc=False):
    """What one record did to the panes of its key. The panes are the live ones: read them before the next record."""

    changed: Sequence[Pane[A]]
    """Panes that are new or have a new state, by end then start."""
    removed: Sequence[Pane[A]] = ()
    """Sessions that are no more, because they grew together or got other bounds."""
    late: bool = False
    """Every window of the record was closed: nothing changed."""


LATE: Added[Any] = Added((), (), True)


class Windows(ABC):
    """A kind of windows. The panes of a key are a list in order of start, which only these methods change.

    The watermark is the stream time, in milliseconds: it never goes back, for a key. Whether a window is closed depends
    on the watermark alone, not on when `close` was called: so batches may be cut anywhere.
    """

    def __str__(self) -> str:
        sizes = (f"{name.removesuffix('_ms')} {format_duration(ms)}" for name, ms in vars(self).items())
        return f"{type(self).__name__.lower()}, {', '.join(sizes)}"

    @property
    @abstractmethod
    def delay_ms(self) -> int:
        """A window is closed when watermark >= end_ms + delay_ms."""

    @abstractmethod
    def add(
        self, panes: list[Pane[A]], value: T, time_ms: int, watermark_ms: int, aggregator: Aggregator[T, A, R]
    ) -> Added[A]:
        """Put a record into the windows of its time that are still open. Times are not negative."""

    @abstractmethod
    def close(self, panes: list[Pane[A]], watermark_ms: int) -> list[Pane[A]]:
        """Take out the panes that are closed and give them, by end then start; read them before the next `add`.

        A key without panes may be forgotten.
        """

    @abstractmethod
    def deadline(self, panes: list[Pane[A]]) -> int | None:
        """The smallest watermark at which `close` gives a pane or leaves none; None if there is none."""

    behind_ms: ClassVar[int] = 0
    """How far ``last_ms`` is before the end of a window."""

    def last_ms(self, pane: Pane[Any]) -> int:
        """The last time that a window holds: the event time of its result, which so is in the window itself."""
        return pane.end_ms - self.behind_ms

    def check(self, aggregator: Aggregator[Any, Any, Any]) -> None:  # noqa: B027
        """Raise TopologyError if the aggregator cannot serve these windows."""
