"""Figures of windows and of single calls."""

from voicestream.records.base import CallRecord
from voicestream.streams.record import Record


class WindowMetric(Record, frozen=True, kw_only=True):
    """Figures of one window of one queue and agent."""

    metric_id: str
    queue: str
    agent: str
    window_start_ms: int
    window_end_ms: int
    calls: int
    utterances: int
    polarity: float | None = None
    customer_polarity: float | None = None
    insights: dict[str, int] = {}
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    revision: int
    final: bool

    @property
    def key(self) -> str:
        return f"{self.queue}/{self.agent}"


class CallFigures(CallRecord, frozen=True, kw_only=True):
    """The figures of one call, as both ``CallMetric`` and ``CallSummary`` have them."""

    duration_ms: int
    talk_ms: dict[str, int] = {}
    talk_ratio: dict[str, float] = {}
    silence_ms: int = 0
    overlap_ms: int = 0
    interruptions: dict[str, int] = {}
    longest_monologue_ms: dict[str, int] = {}
    words_per_minute: dict[str, float] = {}
    utterances: dict[str, int] = {}
    polarity: dict[str, float] = {}
    polarity_quarters: dict[str, list[float | None]] = {}
    insights: dict[str, int] = {}


FIGURES = tuple(name for name in CallFigures.__struct_fields__ if name != "call_id")
"""The names of the figures, for whoever copies all of them."""


class CallMetric(CallFigures, frozen=True, kw_only=True):
    """Figures of one call so far; the last one, marked final, is that of the whole call."""

    at_ms: int
    queue: str | None = None
    agent: str | None = None
    revision: int
    final: bool
