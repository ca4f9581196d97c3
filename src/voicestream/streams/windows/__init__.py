"""Windows on event time, as Kafka Streams has them: pure logic, without a runtime.

| Window | Bounds of `Windowed` | Closed, so that its records are late, when |
|---|---|---|
| tumbling, hopping | start_ms <= t < end_ms, aligned to the epoch | stream time >= end + grace |
| sliding | start_ms <= t <= end_ms = start + size | stream time > end + grace |
| session | first record at start_ms, last at end_ms | stream time > end + gap + grace |
"""

from voicestream.streams.durations import Duration, parse_duration
from voicestream.streams.errors import TopologyError
from voicestream.streams.windows.fixed import Hopping, Tumbling
from voicestream.streams.windows.panes import Added, Pane, Windowed, Windows
from voicestream.streams.windows.sessions import Session
from voicestream.streams.windows.slides import Sliding

__all__ = ["Added", "Pane", "Windowed", "Windows", "hopping", "session", "sliding", "tumbling"]


def tumbling(size: Duration, grace: Duration = 0) -> Windows:
    """Windows of a fixed size that follow each other without gap or overlap: each record is in one.

    Durations are as `parse_duration` takes them: milliseconds, "10s", or a timedelta. Raises TopologyError if one is
    wrong or `size` is zero.
    """
    return Tumbling(_positive("size", size), parse_duration(grace))


def hopping(size: Duration, advance: Duration, grace: Duration = 0) -> Windows:
    """Windows of a fixed size, of which one starts every `advance`: each record is in size / advance of them.

    None starts before the epoch. Raises TopologyError if a duration is wrong, or `advance` is zero or more than `size`.
    """
    size_ms, advance_ms = _positive("size", size), _positive("advance", advance)
    if advance_ms > size_ms:
        raise TopologyError(
            f"hopping windows of {size_ms} ms cannot advance by {advance_ms} ms: records would be in none"
        )
    return Hopping(size_ms, parse_duration(grace), advance_ms)


def sliding(size: Duration, grace: Duration = 0) -> Windows:
    """A window for every distinct set of records whose times differ by at most `size`.

    For each record's time t there is the window [t - size, t] ([0, size] where t < size), and [t + 1, t + 1 + size] if
    there is a record in it. A record is thus in up to twice as many windows as there are records within `size` of it,
    and a key has state for each: meant for tens of records, not thousands; use hopping windows for those.

    Raises TopologyError if a duration is wrong or `size` is zero.
    """
    return Sliding(_positive("size", size), parse_duration(grace))


def session(gap: Duration, grace: Duration = 0) -> Windows:
    """Records of a key of which each is at most `gap` from the next. A record between two sessions makes them one.

    Raises TopologyError if a duration is wrong or `gap` is zero.
    """
    return Session(_positive("gap", gap), parse_duration(grace))


def _positive(name: str, value: Duration) -> int:
    ms = parse_duration(value)
    if ms == 0:
        raise TopologyError(f"the {name} of a window must be more than 0 ms")
    return ms
