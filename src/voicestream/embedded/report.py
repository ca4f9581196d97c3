"""The report of the demo, as ``--report`` writes it: plain data, made of rows and scripts."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from voicestream.embedded.results import Row, Rows
from voicestream.embedded.scripts import DemoCall, Planted
from voicestream.stt.wer import word_error_rate

Report = dict[str, Any]

UTTERANCE = ("track", "start_ms", "end_ms", "text", "polarity", "emotion")
NEAR_MS = 1500  # an utterance may begin and end so much beside the turn in the script


@dataclass(frozen=True)
class Signals:
    """The signals of a scripted call: planted and found, planted and missed, found and not planted."""

    found: list[Planted]
    missed: list[Planted]
    unplanned: list[Row]


def make_report(
    calls: Sequence[DemoCall],
    rows: Rows,
    *,
    ingest_ms: Row,
    dead_letters: int,
) -> Report:
    """Everything that the demo found, with the keys that scripts rely on."""
    ids = [row["utterance_id"] for row in rows.utterances]
    return {
        "calls": [_call(call, rows.of(call.call.call_id)) for call in calls],
        "latency_ms": {
            "ingest": {name: ingest_ms.get(name) for name in ("p50", "p95", "p99")},
            "stt": percentiles(row["stt_ms"] for row in rows.utterances),
            "sentiment": percentiles(row["sentiment_ms"] for row in rows.utterances),
            "end_to_end": percentiles(row["latency_ms"] for row in rows.utterances),
        },
        "clickhouse": {"calls": len(rows.calls), "utterances": len(ids), "duplicates": len(ids) - len(set(ids))},
        "dead_letters": dead_letters,
    }


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """``p50``, ``p95``, ``p99`` by nearest rank; None where there is no value."""
    ordered = sorted(values)
    ranks = {"p50": 50, "p95": 95, "p99": 99}
    return {
        name: round(ordered[-(-rank * len(ordered) // 100) - 1], 1) if ordered else None for name, rank in ranks.items()
    }


def error_rate(calls: Iterable[DemoCall], rows: Rows) -> float | None:
    """The word error rate of all scripted calls among ``calls`` together, track by track; None if there is none."""
    pairs = [pair for call in calls if call.reference for pair in _texts(call, rows.of(call.call.call_id))]
    return word_error_rate(pairs) if pairs else None


def signals(call: DemoCall, rows: Rows) -> Signals:
    """Hold the insights of a call against what its script has planted: same kind, same side, at the same time."""
    times = {row["utterance_id"]: (row["start_ms"], row["end_ms"]) for row in rows.utterances}

    def same(planted: Planted, insight: Row) -> bool:
        start, end = times.get(insight["utterance_id"], (0, 0))
        turn = planted.turn
        return bool(
            insight["kind"] == planted.kind
            and (planted.kind != "entity" or insight["label"] == planted.label)
            and insight["track"] == turn.track
            and start < turn.end_ms + NEAR_MS
            and end > turn.start_ms - NEAR_MS
        )

    found = [planted for planted in call.planted if any(same(planted, insight) for insight in rows.insights)]
    return Signals(
        found=found,
        missed=[planted for planted in call.planted if planted not in found],
        unplanned=[insight for insight in rows.insights if not any(same(planted, insight) for planted in call.planted)],
    )


def _call(call: DemoCall, rows: Rows) -> Row:
    rate = error_rate([call], rows)
    return {
        "call_id": call.call.call_id,
        "duration_s": round(rows.calls[0]["duration_ms"] / 1000, 2) if rows.calls else round(call.call.duration_s, 2),
        "utterances": [
            {("sentiment" if name == "polarity" else name): row[name] for name in UTTERANCE} for row in rows.utterances
        ],
        "insights": _plain(rows.insights),
        "routing": _plain(rows.routing),
        "summary": _plain(rows.calls)[0] if rows.calls else {},
        "reference": [asdict(turn) for turn in call.reference] if call.reference else None,
        "wer": None if rate is None else round(rate, 4),
    }


def _texts(call: DemoCall, rows: Rows) -> list[tuple[str, str]]:
    """What was said and what was heard on each track: turns and utterances need not be cut at the same places."""
    return [
        (
            " ".join(turn.text for turn in call.reference or () if turn.track == track),
            " ".join(row["text"] for row in rows.utterances if row["track"] == track),
        )
        for track in call.call.frames
    ]


def _plain(rows: Iterable[Row]) -> list[Row]:
    """Rows as JSON can hold them."""
    return [
        {name: _with_zone(value) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows
    ]


def _with_zone(at: datetime) -> str:
    """ClickHouse's times are in UTC, and the driver leaves the zone off."""
    return at.replace(tzinfo=at.tzinfo or UTC).isoformat()
