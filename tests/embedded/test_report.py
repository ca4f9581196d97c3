"""The report has the keys that scripts rely on, and says honestly what was found and what was not."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from voicestream.client import Call
from voicestream.embedded.report import error_rate, make_report, percentiles, signals
from voicestream.embedded.results import Row, Rows
from voicestream.embedded.scripts import DemoCall, Planted, Turn, scripted_calls

HELLO = Turn(track="agent", start_ms=500, end_ms=2000, text="Hello, this is Dana.")
LEAVING = Turn(track="customer", start_ms=2500, end_ms=5000, text="I will cancel and go to Acme.")
SCRIPT = [HELLO, LEAVING]


def demo_call(**changes: Any) -> DemoCall:
    call = Call(call_id="c1", frames={"agent": [b"\xff" * 160] * 300, "customer": [b"\xff" * 160] * 300})
    planted = [
        Planted(kind="churn_risk", label="", turn=LEAVING),
        Planted(kind="competitor", label="Acme", turn=LEAVING),
        Planted(kind="entity", label="date", turn=HELLO),
    ]
    return DemoCall(
        **{"title": "t", "call": call, "protocol": "twilio", "reference": SCRIPT, "planted": planted} | changes
    )


def utterance(number: int, turn: Turn, text: str) -> Row:
    return {
        "utterance_id": f"c1/{turn.track}/{number}",
        "call_id": "c1",
        "track": turn.track,
        "start_ms": turn.start_ms + 100,
        "end_ms": turn.end_ms - 100,
        "text": text,
        "polarity": -0.5,
        "emotion": "anger",
        "stt_ms": 100.0,
        "sentiment_ms": 2.0,
        "latency_ms": 300,
    }


def insight(kind: str, said: Row, label: str = "") -> Row:
    return {
        "insight_id": f"{said['utterance_id']}/{kind}/{label}",
        "utterance_id": said["utterance_id"],
        "call_id": "c1",
        "track": said["track"],
        "kind": kind,
        "label": label,
        "text": "x",
        "at": datetime(2026, 1, 1, tzinfo=UTC),
    }


@pytest.fixture
def rows() -> Rows:
    hello, leaving = utterance(0, HELLO, "Hello this is Diana."), utterance(0, LEAVING, LEAVING.text)
    return Rows(
        calls=[{"call_id": "c1", "duration_ms": 6000, "started_at": datetime(2026, 1, 1, tzinfo=UTC)}],
        utterances=[hello, leaving],
        insights=[insight("churn_risk", leaving), insight("competitor", leaving, "Acme"), insight("price", hello)],
        routing=[],
    )


def report(rows: Rows, call: DemoCall | None = None) -> dict[str, Any]:
    ingest = {"p50": 4.0, "p95": 9.0, "p99": 12.0, "count": 60}
    return make_report([call or demo_call()], rows, ingest_ms=ingest, dead_letters=0)


def test_the_report_has_exactly_the_promised_keys(rows: Rows) -> None:
    found = json.loads(json.dumps(report(rows)))
    assert list(found) == ["calls", "latency_ms", "clickhouse", "dead_letters"]
    (call,) = found["calls"]
    assert set(call) == {"call_id", "duration_s", "utterances", "insights", "routing", "summary", "reference", "wer"}
    assert set(call["utterances"][0]) == {"track", "start_ms", "end_ms", "text", "sentiment", "emotion"}
    assert set(found["latency_ms"]) == {"ingest", "stt", "sentiment", "end_to_end"}
    assert all(set(figures) == {"p50", "p95", "p99"} for figures in found["latency_ms"].values())
    assert found["clickhouse"] == {"calls": 1, "utterances": 2, "duplicates": 0}
    assert call["duration_s"] == 6.0


def test_a_file_of_the_user_has_no_reference_and_no_error_rate(rows: Rows) -> None:
    (call,) = report(rows, demo_call(reference=None, planted=[]))["calls"]
    assert call["reference"] is None
    assert call["wer"] is None


def test_an_utterance_that_is_there_twice_is_counted(rows: Rows) -> None:
    rows.utterances.append(rows.utterances[0])
    assert report(rows)["clickhouse"] == {"calls": 1, "utterances": 3, "duplicates": 1}


def test_the_error_rate_is_taken_track_by_track(rows: Rows) -> None:
    assert error_rate([demo_call()], rows) == pytest.approx(1 / 11)  # Dana, Diana; 4 + 7 words
    assert error_rate([demo_call(reference=None)], rows) is None


def test_signals_are_held_against_the_script(rows: Rows) -> None:
    found = signals(demo_call(), rows)
    assert [planted.kind for planted in found.found] == ["churn_risk", "competitor"]
    assert [planted.kind for planted in found.missed] == ["entity"]
    assert [row["kind"] for row in found.unplanned] == ["price"]


def test_a_signal_on_the_other_side_or_at_another_time_does_not_count(rows: Rows) -> None:
    far = Turn(track="customer", start_ms=60_000, end_ms=62_000, text="x")
    call = demo_call(
        planted=[Planted(kind="price", label="", turn=LEAVING), Planted(kind="churn_risk", label="", turn=far)]
    )
    assert signals(call, rows).found == []


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentiles(range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99}
    assert percentiles([7]) == {"p50": 7, "p95": 7, "p99": 7}
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None}


def test_scripted_calls_differ_and_more_of_them_start_again() -> None:
    calls = scripted_calls(11)
    assert len({call.call.call_id for call in calls}) == 11
    assert len({call.title for call in calls}) == 10
    assert {call.protocol for call in calls[:2]} == {"twilio", "raw"}
    assert all(call.reference and call.planted and set(call.call.frames) == {"agent", "customer"} for call in calls)
