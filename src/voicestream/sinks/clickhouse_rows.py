"""Which record goes to which table of ClickHouse, and how: the one place that says so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from voicestream.records import (
    CallEvent,
    CallMetric,
    CallSummary,
    Insight,
    RoutingDecision,
    UtteranceResult,
    WindowMetric,
)
from voicestream.records.metrics import FIGURES
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.record import Record

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Mapping(Generic[R]):
    """The columns of a table that a record fills, each with how its value is read off the record.

    Columns that are left out take their default. Times go in as epoch milliseconds, as DateTime64(3) stores them.
    """

    table: str
    record: type[R]
    columns: dict[str, Callable[[R], Any]]

    def row(self, record: R) -> list[Any]:
        return [read(record) for read in self.columns.values()]


def _same(*names: str) -> dict[str, Callable[[Any], Any]]:
    """Columns named and filled as the fields of the record."""
    return {name: attrgetter(name) for name in names}


def _or_empty(*names: str) -> dict[str, Callable[[Any], Any]]:
    """The same, with the empty string where the record has null: it groups and filters like any other value."""

    def reader(name: str) -> Callable[[Any], Any]:
        return lambda record: getattr(record, name) or ""

    return {name: reader(name) for name in names}


_FIGURES = _same(*FIGURES)


def _latest(record: WindowMetric | CallMetric) -> int:
    return 2 * record.revision + record.final


_STARTED = Mapping(
    "calls",
    CallEvent,
    {
        **_same("call_id", "protocol", "metadata"),
        **_or_empty("queue", "agent", "customer"),
        "started_at": lambda r: r.at_ms,
        "state": lambda r: "live",
        "complete": lambda r: False,
        "version": lambda r: 0,
    },
)

MAPPINGS: tuple[Mapping[Any], ...] = (
    _STARTED,
    Mapping(
        "calls",
        CallSummary,
        {
            **_same("call_id", "reason", "protocol", "metadata", "emotions", "routing", "text", "complete"),
            **_or_empty("queue", "agent", "customer", "outcome"),
            **_FIGURES,
            "started_at": lambda r: r.started_at_ms,
            "ended_at": lambda r: r.ended_at_ms,
            "state": lambda r: "ended",
            "version": lambda r: 2 if r.complete else 1,
        },
    ),
    Mapping(
        "utterances",
        UtteranceResult,
        {
            **_same("utterance_id", "call_id", "track", "number", "start_ms", "end_ms", "text", "words", "confidence"),
            **_same("language", "polarity", "emotions", "trend", "arousal", "pitch_hz", "energy_dbfs", "speech_rate"),
            **_same("stt_ms", "sentiment_ms", "latency_ms", "complete"),
            **_or_empty("queue", "agent", "label", "emotion"),
            "at": lambda r: r.at_ms,
            "insight_ids": lambda r: [insight.insight_id for insight in r.insights],
            "insight_kinds": lambda r: [insight.kind for insight in r.insights],
            "version": lambda r: int(r.complete),
        },
    ),
    Mapping(
        "insights",
        Insight,
        {
            **_same("insight_id", "utterance_id", "call_id", "track", "number", "kind", "label", "value", "text"),
            **_same("start", "end", "confidence", "extractor"),
            "at": lambda r: r.at_ms,
        },
    ),
    Mapping(
        "routing_decisions",
        RoutingDecision,
        {
            **_same("decision_id", "call_id", "rule", "action", "priority", "reason", "evidence"),
            **_or_empty("target", "queue", "agent"),
            "at": lambda r: r.at_ms,
        },
    ),
    Mapping(
        "window_metrics",
        WindowMetric,
        {
            **_same("metric_id", "queue", "agent", "calls", "utterances", "polarity", "customer_polarity", "insights"),
            **_same("latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "revision", "final"),
            "window_start": lambda r: r.window_start_ms,
            "window_end": lambda r: r.window_end_ms,
            "version": _latest,
        },
    ),
    Mapping(
        "call_metrics",
        CallMetric,
        {
            **_same("call_id", "revision", "final"),
            **_or_empty("queue", "agent"),
            **_FIGURES,
            "at": lambda r: r.at_ms,
            "version": _latest,
        },
    ),
    Mapping(
        "dead_letters",
        DeadLetter,
        {
            **_same("letter_id", "topic", "partition", "offset", "source_key", "source_value", "headers", "stage"),
            **_same("agent", "step", "error", "message", "trace"),
            "timestamp": lambda r: r.timestamp_ms,
            "at": lambda r: r.at_ms,
        },
    ),
)
_BY_TYPE: dict[type[Record], Mapping[Any]] = {mapping.record: mapping for mapping in MAPPINGS}


def by_table(records: Sequence[Record]) -> dict[str, tuple[Mapping[Any], list[Record]]]:
    """The records that have a place in ClickHouse, by mapping; markers and events other than a start have none."""
    groups: dict[str, tuple[Mapping[Any], list[Record]]] = {}
    for record in records:
        mapping = _BY_TYPE.get(type(record))
        if mapping is None or (isinstance(record, CallEvent) and record.kind != "started"):
            continue
        groups.setdefault(mapping.record.__name__, (mapping, []))[1].append(record)
    return groups
