"""The sink: each fact once, none lost, a bad one alone."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest
from analytics_data import records
from clickhouse_process import Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicestream.errors import ClickHouseError, ClickHouseUnavailableError
from voicestream.records import EndOfCall, UtteranceResult
from voicestream.sinks.clickhouse import ClickHouse, connect
from voicestream.sinks.clickhouse_rows import MAPPINGS
from voicestream.sinks.clickhouse_sink import ClickHouseSink
from voicestream.sinks.migrate import upgrade
from voicestream.streams.record import Record

TABLES = sorted({mapping.table for mapping in MAPPINGS})
_numbers = itertools.count()


def contents(clickhouse: ClickHouse) -> dict[str, list[str]]:
    """Every row that the views show."""
    return {
        table: sorted(clickhouse.raw(f"SELECT * FROM v_{table}", "JSONEachRow").decode("latin-1").splitlines())
        for table in TABLES
    }


def utterance(number: int) -> UtteranceResult:
    return UtteranceResult(
        utterance_id=f"c/agent/{number}", call_id="c", track="agent", number=number, start_ms=0, end_ms=1,
        at_ms=1_700_000_000_000, text="hello", confidence=1.0, language="en",
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference(server: Server) -> dict[str, list[str]]:
    """What the tables hold when every record was written once, in order."""
    clickhouse = ClickHouse(server.setting("reference"))
    upgrade(clickhouse)
    assert asyncio.run(ClickHouseSink(clickhouse).write(records())) == []
    held = contents(clickhouse)
    clickhouse.close()
    return held


def test_every_record_has_its_row(reference: dict[str, list[str]]) -> None:
    assert {table: len(rows) for table, rows in reference.items()} == {
        "call_metrics": 1,
        "calls": 7,
        "dead_letters": 2,
        "insights": 19,
        "routing_decisions": 3,
        "utterances": 26,
        "window_metrics": 3,
    }


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_same_records_again_in_any_order_and_batches_change_nothing(
    server: Server, reference: dict[str, list[str]], data: st.DataObject
) -> None:
    twice = data.draw(st.permutations(records() * 2))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(twice)), max_size=4)))
    batches: list[Sequence[Record]] = [twice[a:b] for a, b in itertools.pairwise([0, *cuts, len(twice)])]
    clickhouse = ClickHouse(server.setting(f"replayed_{next(_numbers)}"))
    upgrade(clickhouse)

    async def write() -> None:
        sink = ClickHouseSink(clickhouse)
        for batch in batches:
            assert await sink.write(batch) == []

    asyncio.run(write())
    assert contents(clickhouse) == reference
    clickhouse.close()


async def test_the_highest_revision_wins_also_when_it_comes_first(clickhouse: ClickHouse) -> None:
    sink = ClickHouseSink(clickhouse)
    whole = utterance(0)
    await sink.write([whole])
    await sink.write([msgspec.structs.replace(whole, complete=False, text="half")])
    assert clickhouse.query("SELECT text, complete FROM v_utterances").rows == [("hello", True)]


async def test_bad_records_are_handed_back_and_the_others_written(clickhouse: ClickHouse) -> None:
    good = [utterance(n) for n in range(20)]
    bad = [
        msgspec.structs.replace(utterance(100), number=-1),
        msgspec.structs.replace(utterance(101), text="\ud800"),
        msgspec.structs.replace(utterance(102), latency_ms=2**80),
        msgspec.structs.replace(utterance(103), language=None),
    ]
    rejected = await ClickHouseSink(clickhouse).write([*good[:7], *bad[:2], *good[7:], *bad[2:]])
    assert [r.record for r in rejected] == bad
    assert all("utterances" in str(r.error) for r in rejected)
    assert clickhouse.query("SELECT count() FROM v_utterances").rows == [(20,)]


async def test_markers_are_passed_over(clickhouse: ClickHouse) -> None:
    end = EndOfCall(call_id="c", stage="stt", at_ms=1, duration_ms=1, reason="hangup")
    assert await ClickHouseSink(clickhouse).write([end]) == []


async def test_missing_tables_are_not_taken_for_bad_records(server: Server) -> None:
    with pytest.raises(ClickHouseError, match="voicestream db upgrade"):
        await ClickHouseSink(ClickHouse(server.setting()), give_up_after_s=0).write([utterance(0)])


async def test_records_wait_for_tables_that_are_missing(server: Server) -> None:
    late, migrating = ClickHouse(server.setting("unmigrated")), ClickHouse(server.setting("unmigrated"))
    writing = asyncio.create_task(ClickHouseSink(late).write([utterance(0), utterance(1)]))
    await asyncio.sleep(0.4)
    assert not writing.done()
    await asyncio.to_thread(upgrade, migrating)
    assert await writing == []
    assert migrating.query("SELECT count() FROM v_utterances").rows == [(2,)]
    late.close()
    migrating.close()


async def test_writers_take_turns(clickhouse: ClickHouse) -> None:
    sink = ClickHouseSink(clickhouse)
    await asyncio.gather(*(sink.write([utterance(n)]) for n in range(8)))
    assert clickhouse.query("SELECT count() FROM v_utterances").rows == [(8,)]


async def test_a_server_that_is_killed_and_comes_back_loses_nothing(start_server: Callable[[], Server]) -> None:
    server = start_server()
    clickhouse = ClickHouse(server.setting("late"))
    upgrade(clickhouse)
    sink = ClickHouseSink(clickhouse)
    batches = [[utterance(10 * batch + n) for n in range(10)] for batch in range(60)]

    async def write_all() -> None:
        for batch in batches:
            assert await sink.write(batch) == []

    writing = asyncio.create_task(write_all())
    await asyncio.sleep(0.3)
    os.kill(server.process.pid, signal.SIGKILL)
    await asyncio.to_thread(server.process.stop)
    assert not writing.done()

    cold = ClickHouse(server.setting("late"))  # never connected before
    with pytest.raises(ClickHouseUnavailableError, match="No ClickHouse answers at"):
        await ClickHouseSink(cold, give_up_after_s=0.3).write([utterance(600)])
    waiting = asyncio.create_task(ClickHouseSink(cold).write([utterance(600)]))
    await asyncio.to_thread(server.start)
    await asyncio.gather(writing, waiting)
    assert clickhouse.query("SELECT count(), uniqExact(number) FROM v_utterances").rows == [(601, 601)]
    clickhouse.close()
    cold.close()


def test_the_engine_in_this_process_does_the_same(tmp_path: Path, reference: dict[str, list[str]]) -> None:
    """In a process of its own: one can have one engine folder in its life."""
    script = dedent(
        """
        import asyncio, json, sys
        from analytics_data import records
        from test_clickhouse_sink import contents
        from voicestream.sinks.clickhouse import ClickHouse
        from voicestream.sinks.clickhouse_sink import ClickHouseSink
        from voicestream.sinks.migrate import upgrade

        clickhouse = ClickHouse(sys.argv[1])
        upgrade(clickhouse)
        for _ in range(2):
            assert asyncio.run(ClickHouseSink(clickhouse).write(records())) == []
        print(json.dumps(contents(clickhouse)))
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, timeout=60)
    assert run.returncode == 0, run.stderr
    assert msgspec.json.decode(run.stdout) == reference


def test_connect_answers_at_once(server: Server) -> None:
    clickhouse = connect(server.setting())
    assert clickhouse.query("SELECT 1 AS one").columns == ["one"]
    clickhouse.close()
