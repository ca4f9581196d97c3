"""What each record changes in the live state of its call: the one place that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from voicestream.records import CallEvent, CallMetric, CallSummary, RoutingDecision, UtteranceResult
from voicestream.streams.record import Record

_LAST = 2**53  # above any revision


@dataclass(frozen=True, slots=True)
class Change:
    """Fields of the hash of a call that are set together, unless a higher version of their part has set them."""

    part: str
    version: str
    at_ms: int
    fields: dict[str, str]


def changes(record: Record) -> list[Change]:
    """What a record changes; nothing for records that have no place in the live state."""
    match record:
        case CallEvent(kind="started"):
            return [_change("call", 0, record.at_ms, _call(record, status="live", started_at_ms=record.at_ms))]
        case CallSummary():
            fields = _call(
                record,
                status="ended",
                started_at_ms=record.started_at_ms,
                ended_at_ms=record.ended_at_ms,
                reason=record.reason,
                outcome=record.outcome,
                summary=record.text,
            )
            version = 2 if record.complete else 1
            return [
                _change("call", version, record.ended_at_ms, fields),
                _change("figures", _LAST + version, record.ended_at_ms, _figures(record)),
            ]
        case CallMetric():
            return [_change("figures", 2 * record.revision + record.final, record.at_ms, _figures(record))]
        case UtteranceResult():
            version = 2 * record.number + record.complete
            return [_change(f"utterance:{record.track}", version, record.at_ms, _utterance(record))]
        case RoutingDecision():
            # Decisions have no number: the later one stays, and of two at the same time the one with the greater id.
            version_text = f"{record.at_ms:020d}/{record.decision_id}"
            return [Change("routing", version_text, record.at_ms, {"routing": json(record)})]
    return []


def json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _change(part: str, version: int, at_ms: int, fields: Mapping[str, Any]) -> Change:
    texts = {name: "" if value is None else str(value) for name, value in fields.items()}
    return Change(part, f"{version:020d}", at_ms, texts)


def _call(record: CallEvent | CallSummary, **more: Any) -> dict[str, Any]:
    return {
        "call_id": record.call_id,
        "protocol": record.protocol,
        "queue": record.queue,
        "agent": record.agent,
        "customer": record.customer,
        "metadata": json(record.metadata),
        **more,
    }


def _figures(record: CallMetric | CallSummary) -> dict[str, Any]:
    return {"polarity": json(record.polarity), "insights": json(record.insights)}


def _utterance(record: UtteranceResult) -> dict[str, Any]:
    names = ("utterance_id", "number", "start_ms", "end_ms", "at_ms", "text", "polarity", "label", "emotion")
    return {
        f"utterance:{record.track}": json({name: getattr(record, name) for name in names}),
        f"trend:{record.track}": record.trend,
    }
