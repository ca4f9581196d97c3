"""What the gateway counts and measures; plain numbers on the hot path, Prometheus only when it is scraped."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Clock = Callable[[], float]


class Window:
    """Values of the last ``seconds``, at most ``size`` of them."""

    def __init__(self, seconds: float = 60.0, size: int = 5_000, clock: Clock = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._values: deque[tuple[float, float]] = deque(maxlen=size)

    def add(self, value: float) -> None:
        self._values.append((self._clock(), value))

    def percentiles(self) -> dict[str, float | int | None]:
        """``p50``, ``p95``, ``p99`` (nearest rank; None where there is no value) and ``count``."""
        values = sorted(self._live())
        count = len(values)
        ranks = {"p50": 50, "p95": 95, "p99": 99}
        figures: dict[str, float | int | None] = {
            name: round(values[-(-rank * count // 100) - 1], 2) if values else None for name, rank in ranks.items()
        }
        return figures | {"count": count}

    def per_second(self, over: float = 10.0) -> float:
        """The sum of the values of the last ``over`` seconds, by the second."""
        since = self._clock() - over
        return round(sum(value for at, value in self._values if at >= since) / over, 2)

    def _live(self) -> list[float]:
        oldest = self._clock() - self._seconds
        while self._values and self._values[0][0] < oldest:
            self._values.popleft()
        return [value for _, value in self._values]


class GatewayStats(Collector):
    """All figures of one gateway."""

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.chunks = 0
        self.duplicates = 0
        self.gap_ms = 0
        self.lost_chunks = 0
        self.feed_dropped = 0
        self.undecodable = 0
        self.started: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.ingest_ms = Window()
        self.ingest_first_frame_ms = Window()
        self.frame_rate = Window(seconds=15.0)
        self.utterances = Window(size=20_000)
        self.end_to_end_ms = Window(size=20_000)
        self.stt_ms = Window(size=20_000)
        self.sentiment_ms = Window(size=20_000)
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Publish what ``read`` returns at the time of a scrape."""
        self.gauges[name] = (help_text, read)

    def collect(self) -> Iterable[Metric]:
        """The Prometheus metrics."""
        plain = {
            "frames": ("Audio frames received.", self.frames),
            "audio_bytes": ("Bytes of audio received.", self.bytes),
            "chunks": ("Chunks of audio that the broker acknowledged.", self.chunks),
            "duplicate_frames": ("Frames that came again and were dropped.", self.duplicates),
            "gap_milliseconds": ("Audio that was lost before it reached the gateway.", self.gap_ms),
            "lost_chunks": ("Chunks that the broker refused for good.", self.lost_chunks),
            "feed_dropped": ("Messages that slow readers of the feed lost.", self.feed_dropped),
            "undecodable": ("Messages of the result topics that were no records.", self.undecodable),
        }
        for name, (text, count) in plain.items():
            yield CounterMetricFamily(f"voicestream_gateway_{name}", text, value=count)
        labelled = {
            "calls_started": ("Calls begun.", "protocol", self.started),
            "calls_ended": ("Calls ended.", "reason", self.ended),
            "refused": ("Connections closed because of an error.", "code", self.refused),
        }
        for name, (text, label, counts) in labelled.items():
            family = CounterMetricFamily(f"voicestream_gateway_{name}", text, labels=[label])
            for value, count in counts.items():
                family.add_metric([value], count)
            yield family
        for name, (text, read) in self.gauges.items():
            yield GaugeMetricFamily(f"voicestream_gateway_{name}", text, value=read())
        windows = {
            "ingest_ms": ("Frame that completes a chunk to the broker's acknowledgement, last minute.", self.ingest_ms),
            "end_to_end_ms": ("End of speech to result, last minute.", self.end_to_end_ms),
        }
        for name, (text, window) in windows.items():
            summary = GaugeMetricFamily(f"voicestream_gateway_{name}", text, labels=["quantile"])
            figures = window.percentiles()
            for quantile, key in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")):
                figure = figures[key]
                if figure is not None:
                    summary.add_metric([quantile], figure)
            yield summary
