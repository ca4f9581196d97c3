"""Durations as people write them: ``"500ms"``, ``"10s"``, ``"1m"``, ``"1h"``, ``"1d"``, or a number of milliseconds."""

import re
from datetime import timedelta

from voicestream.streams.errors import TopologyError

Duration = int | str | timedelta
"""Milliseconds, a number with a unit, or a timedelta."""

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")


def parse_duration(value: Duration) -> int:
    """Milliseconds, at least 0; raises ``TopologyError`` for what is no duration or no whole number of milliseconds."""
    if isinstance(value, timedelta):
        value = f"{value / timedelta(milliseconds=1):f}ms"
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise TopologyError(f"duration {value}: it is negative; give milliseconds, or text such as '1m'")
        return value
    found = _FORM.fullmatch(value) if isinstance(value, str) else None
    ms = float(found[1]) * _MS[found[2]] if found else 0.5
    if ms != round(ms):
        raise TopologyError(f"duration {value!r}: give whole milliseconds, or text such as '500ms', '10s', '1m', '1h'")
    return round(ms)


def format_duration(ms: int) -> str:
    """Milliseconds as people write them, in the largest unit that leaves no fraction: ``90_000`` is ``"90s"``."""
    unit = next((unit for unit, size in reversed(_MS.items()) if ms and ms % size == 0), "ms")
    return f"{ms // _MS[unit]}{unit}"
