"""Wall-clock time, which a test can set."""

import time
from collections.abc import Callable
from contextvars import ContextVar


def _system_ms() -> int:
    return time.time_ns() // 1_000_000


_source: ContextVar[Callable[[], int]] = ContextVar("clock", default=_system_ms)


def now_ms() -> int:
    """Unix epoch milliseconds: the system's clock, or in a test driver the one that the test moves."""
    return _source.get()()


def use_clock(source: Callable[[], int]) -> None:
    """Take the time from ``source`` in this context."""
    _source.set(source)
