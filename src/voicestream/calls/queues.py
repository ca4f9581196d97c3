"""The figures of a queue and agent by the minute: pure window logic on event time.

A window is final when the stream time of its key is past its end and grace, or, where the key has gone quiet, when the
clock is. A result that comes even later is not lost: it makes a new revision of its window, and the highest revision
counts.
"""

from collections import Counter

import msgspec

from voicestream.records import UtteranceResult, WindowMetric

SIZE_MS = 60_000
GRACE_MS = 10_000
KEEP_MS = 3_600_000  # how long a final window can still be revised


class Window(msgspec.Struct):
    """What has come in one window."""

    last: dict[str, int] = {}
    """Highest utterance number by call_id/track: results of a track come in order, so a repeated one is known by it."""
    utterances: int = 0
    polarity: list[float] = []
    customer_polarity: list[float] = []
    insights: dict[str, int] = {}
    latency_ms: list[int] = []
    revision: int = 0
    final: bool = False


class QueueState(msgspec.Struct):
    """The windows of one queue and agent by their start, and the key's stream time."""

    queue: str
    agent: str
    windows: dict[int, Window] = {}
    stream_ms: int = 0


def add(state: QueueState, result: UtteranceResult) -> list[WindowMetric]:
    """Count an utterance in: the new figures of its window, and those of windows that this made final."""
    start = result.at_ms // SIZE_MS * SIZE_MS
    window = state.windows.setdefault(start, Window())
    track = f"{result.call_id}/{result.track}"
    if window.last.get(track, -1) >= result.number:
        return []
    window.last[track] = result.number
    window.utterances += 1
    if result.polarity is not None:
        window.polarity.append(result.polarity)
        if result.track == "customer":
            window.customer_polarity.append(result.polarity)
    window.insights = dict(Counter(window.insights) + Counter(insight.kind for insight in result.insights))
    window.latency_ms.append(result.latency_ms)
    window.revision += 1
    state.stream_ms = max(state.stream_ms, result.at_ms)
    return [_metric(state, start, window), *_close(state, state.stream_ms)]


def tick(state: QueueState, now_ms: int) -> list[WindowMetric]:
    """Close what the clock has closed, and forget what is long final."""
    closed = _close(state, now_ms - SIZE_MS)  # a minute more than the grace: results may be on their way
    for start in [s for s, w in state.windows.items() if w.final and now_ms > s + SIZE_MS + KEEP_MS]:
        del state.windows[start]
    return closed


def percentile(values: list[int], share: float) -> float | None:
    """The value that ``share`` of ``values`` do not exceed (nearest rank); ``None`` of nothing."""
    ordered = sorted(values)
    return float(ordered[max(0, -int(-share * len(ordered) // 1) - 1)]) if ordered else None


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
        calls=len({track.rpartition("/")[0] for track in window.last}),
        utterances=window.utterances,
        polarity=_mean(window.polarity),
        customer_polarity=_mean(window.customer_polarity),
        insights=window.insights,
        latency_p50_ms=percentile(window.latency_ms, 0.50),
        latency_p95_ms=percentile(window.latency_ms, 0.95),
        latency_p99_ms=percentile(window.latency_ms, 0.99),
        revision=window.revision,
        final=window.final,
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
