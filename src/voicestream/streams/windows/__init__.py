"""Windows on event time, as Kafka Streams has them: pure logic, without a runtime."""

from datetime import timedelta

from voicestream.streams.durations import parse_duration
from voicestream.streams.windows.panes import Added, Pane, Windowed, Windows
from voicestream.streams.windows.tumbling import Tumbling

__all__ = ["Added", "Pane", "Windowed", "Windows", "hopping", "session", "sliding", "tumbling"]

Duration = int | str | timedelta


def tumbling(size: Duration, grace: Duration = 0) -> Windows:
    """Windows of a fixed size that follow each other without gap or overlap, aligned to the epoch.

    A window [start, end) is closed when the stream time is at or past end + grace. Durations are milliseconds, or as
    `parse_duration` takes them; raises ValueError if one is wrong or `size` is zero.
    """
    return Tumbling(_positive("size", size), parse_duration(grace))


def hopping(size: Duration, advance: Duration, grace: Duration = 0) -> Windows:
    raise NotImplementedError


def sliding(size: Duration, grace: Duration = 0) -> Windows:
    raise NotImplementedError


def session(gap: Duration, grace: Duration = 0) -> Windows:
    raise NotImplementedError


def _positive(name: str, value: Duration) -> int:
    ms = parse_duration(value)
    if ms == 0:
        raise ValueError(f"the {name} of a window must be more than 0 ms")
    return ms
