"""The three jobs written by hand, for the loops without a framework: state is a dictionary, lost with the process."""

from collections import defaultdict
from collections.abc import Callable

from records import CALLS, JOB, MINUTE_MS, calls, frames, of_frame, of_window, results

TOPICS_READ = [CALLS] if JOB == "join" else []

_counts: dict[tuple[str, int], int] = defaultdict(int)
_queues: dict[str, int] = {}


def job() -> Callable[[str, bytes], bytes | None]:
    """What to do with a message: its topic and value to the result's value, or none."""
    return {"map": _map, "count": _count, "join": _join}[JOB]


def _map(topic: str, value: bytes) -> bytes | None:
    frame = frames.decode(value)
    return results.encode(of_frame(frame, len(frame["audio"])))


def _count(topic: str, value: bytes) -> bytes | None:
    frame = frames.decode(value)
    call_id, start = frame["call_id"], frame["at_ms"] - frame["at_ms"] % MINUTE_MS
    _counts[call_id, start] += 1
    return results.encode(of_window(call_id, start, _counts[call_id, start]))


def _join(topic: str, value: bytes) -> bytes | None:
    if topic == CALLS:
        call = calls.decode(value)
        _queues[call["call_id"]] = call["queue"]
        return None
    frame = frames.decode(value)
    queue = _queues.get(frame["call_id"])
    return None if queue is None else results.encode(of_frame(frame, queue))
