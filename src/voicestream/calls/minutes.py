"""The figures of a queue and agent in one minute: what is aggregated of its utterances.

The state is written to a changelog with every utterance, and all calls may be in one queue. So it has sums and counts,
no lists of values, and what grows with the number of calls takes about ten bytes a track.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from voicestream.records import UtteranceResult, WindowMetric
from voicestream.streams.windows import Windowed

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


class Minute(msgspec.Struct):
    """What has come in one minute; ``revision`` counts it."""

    reached: dict[int, int] = {}
    """Highest utterance number by track: results of a track come in order, so a repeated one is known by it."""
    queue: str = ""
    agent: str = ""
    utterances: int = 0
    polarity: Mean = msgspec.field(default_factory=Mean)
    customer_polarity: Mean = msgspec.field(default_factory=Mean)
    insights: dict[str, int] = {}
    latencies: dict[int, int] = {}
    """Utterances by latency, to 10 ms."""
    revision: int = 0


def add(minute: Minute, result: UtteranceResult) -> Minute:
    """Count an utterance in."""
    track = _id(result.call_id) | _TRACKS.index(result.track)
    if minute.reached.get(track, -1) >= result.number:
        return minute
    minute.reached[track] = result.number
    minute.queue, minute.agent = result.queue or "", result.agent or ""
    minute.utterances += 1
    if result.polarity is not None:
        minute.polarity.add(result.polarity)
        if result.track == "customer":
            minute.customer_polarity.add(result.polarity)
    minute.insights = dict(Counter(minute.insights) + Counter(insight.kind for insight in result.insights))
    latency = round(result.latency_ms, -1)
    minute.latencies[latency] = minute.latencies.get(latency, 0) + 1
    minute.revision += 1
    return minute


def metric(window: Windowed[Minute]) -> WindowMetric:
    """The figures as a record; the final one of a minute has one revision more than the last before it."""
    minute = window.value
    return WindowMetric(
        metric_id=f"{window.key}/{window.start_ms}",
        queue=minute.queue,
        agent=minute.agent,
        window_start_ms=window.start_ms,
        window_end_ms=window.end_ms,
        calls=len({track >> 2 for track in minute.reached}),
        utterances=minute.utterances,
        polarity=minute.polarity.value,
        customer_polarity=minute.customer_polarity.value,
        insights=minute.insights,
        latency_p50_ms=percentile(minute.latencies, 0.50),
        latency_p95_ms=percentile(minute.latencies, 0.95),
        latency_p99_ms=percentile(minute.latencies, 0.99),
        revision=minute.revision + window.final,
        final=window.final,
    )


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The value that ``share`` of the values, counted in ``counts``, do not exceed (nearest rank); ``None`` of none."""
    rank = max(1, math.ceil(share * sum(counts.values())))
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return float(value)
    return None


@lru_cache(4096)
def _id(call_id: str) -> int:
    """64 bits that stand for a call, the lowest two free for the track."""
    return int.from_bytes(hashlib.blake2b(call_id.encode(), digest_size=8).digest(), "big") & ~3
