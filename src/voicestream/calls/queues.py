"""The figures of a queue and agent by the minute: pure window logic on event time.

A window is final when the stream time of its key is past its end and grace, or, where the key has gone quiet, when the
clock is. A result that comes even later is not lost: it makes a new revision of its window, and the highest revision
counts.

The state of a queue is written to its changelog with every utterance, and all calls may be in one queue. So it has sums
and counts, no lists of values, and what grows with the number of calls takes about ten bytes a track.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from voicestream.records import UtteranceResult, WindowMetric

SIZE_MS = 60_000
GRACE_MS = 10_000
KEEP_MS = 300_000  # how long a final window can still be revised

_TRACKS = ("agent", "customer", "mono")


class Mean(msgspec.Struct, array_like=True):
    """The mean of what was added."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


class Window(msgspec.Struct):
    """What has come in one window."""

    reached: dict[int, int] = {}
    """Highest utterance number by track: results of a track come in order, so a repeated one is known by it."""
    utterances: int = 0
    polarity: Mean = msgspec.field(default_factory=Mean)
    customer_polarity: Mean = msgspec.field(default_factory=Mean)
    insights: dict[str, int] = {}
    latencies: dict[int, int] = {}
    """Utterances by latency, to 10 ms."""
    heard_ms: int = 0
    """Wall clock of the latest result: a worker that catches up gets those of windows that are long past."""
    revision: int = 0
    final: bool = False


class QueueState(msgspec.Struct):
    """The windows of one queue and agent by their start, and the key's stream time."""

    queue: str
    agent: str
    windows: dict[int, Window] = {}
    stream_ms: int = 0


def add(state: QueueState, result: UtteranceResult, now_ms: int) -> list[WindowMetric]:
    """Count an utterance in: the new figures of its window, and those of windows that this made final."""
    start = result.at_ms // SIZE_MS * SIZE_MS
    window = state.windows.setdefault(start, Window())
    track = _id(result.call_id) | _TRACKS.index(result.track)
    if window.reached.get(track, -1) >= result.number:
        return []
    window.reached[track] = result.number
    window.heard_ms = now_ms
    window.utterances += 1
    if result.polarity is not None:
        window.polarity.add(result.polarity)
        if result.track == "customer":
            window.customer_polarity.add(result.polarity)
    window.insights = dict(Counter(window.insights) + Counter(insight.kind for insight in result.insights))
    latency = round(result.latency_ms, -1)
    window.latencies[latency] = window.latencies.get(latency, 0) + 1
    window.revision += 1
    state.stream_ms = max(state.stream_ms, result.at_ms)
    return [_metric(state, start, window), *_close(state, state.stream_ms)]


def tick(state: QueueState, now_ms: int) -> list[WindowMetric]:
    """Close what the clock has closed, and forget what is long final."""
    closed = _close(state, now_ms - SIZE_MS)  # a minute more than the grace: results may be on their way
    old = [s for s, w in state.windows.items() if w.final and now_ms > max(w.heard_ms, s + SIZE_MS) + KEEP_MS]
    for start in old:
        del state.windows[start]
    return closed


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The value that ``share`` of the values, counted in ``counts``, do not exceed (nearest rank); ``None`` of none."""
    rank = max(1, math.ceil(share * sum(counts.values())))
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return float(value)
    return None


def _close(state: QueueState, until_ms: int) -> list[WindowMetric]:
    metrics = []
    for start, window in sorted(state.windows.items()):
        if not window.final and until_ms >= start + SIZE_MS + GRACE_MS:
            window.final = True
            window.revision += 1
            metrics.append(_metric(state, start, window))
    return metrics


def _metric(state: QueueState, start: int, window: Window) -> WindowMetric:
    return WindowMetric(
        metric_id=f"{state.queue}/{state.agent}/{start}",
        queue=state.queue,
        agent=state.agent,
        window_start_ms=start,
        window_end_ms=start + SIZE_MS,
        calls=len({track >> 2 for track in window.reached}),
        utterances=window.utterances,
        polarity=window.polarity.value,
        customer_polarity=window.customer_polarity.value,
        insights=window.insights,
        latency_p50_ms=percentile(window.latencies, 0.50),
        latency_p95_ms=percentile(window.latencies, 0.95),
        latency_p99_ms=percentile(window.latencies, 0.99),
        revision=window.revision,
        final=window.final,
    )


@lru_cache(4096)
def _id(call_id: str) -> int:
    """64 bits that stand for a call, the lowest two free for the track."""
    return int.from_bytes(hashlib.blake2b(call_id.encode(), digest_size=8).digest(), "big") & ~3
