"""PostgreSQL: each fact once, nothing newer overwritten, none lost, what an application wrote left alone."""

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from analytics_data import records
from clickhouse_process import Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import PostgresServer, postgres_programs
from typer.testing import CliRunner

from agents import postgres as agent
from voicestream import topics
from voicestream.cli.main import app
from voicestream.errors import MigrationError, PostgresError, PostgresUnavailableError, SettingsError
from voicestream.records import CallEvent, CallSummary, RoutingDecision, UtteranceResult
from voicestream.settings import settings as voicestream_settings
from voicestream.sinks.clickhouse import ClickHouse
from voicestream.sinks.migrate import upgrade as upgrade_clickhouse
from voicestream.sinks.postgres import Postgres
from voicestream.sinks.postgres_migrate import status, upgrade
from voicestream.sinks.postgres_sink import UPSERTS, PostgresSink
from voicestream.streams.record import Record
from voicestream.testing import TopologyTestDriver

PROGRAMS = postgres_programs()
pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed (apt-get install postgresql)")

TABLES = ("calls", "utterances", "routing_decisions")
AT = 1_700_000_000_000
STARTED = CallEvent(
    event_id="c/started/0", call_id="c", kind="started", sequence=0, at_ms=AT, protocol="raw", queue="sales",
    metadata={"crm": "17"},
)  # fmt: skip
SUMMARY = CallSummary(
    call_id="c", started_at_ms=AT, ended_at_ms=AT + 9_000, duration_ms=9_000, reason="completed", protocol="raw",
    queue="sales", metadata={"crm": "17"}, talk_ms={"agent": 4_000}, insights={"price": 2}, outcome="next_step",
    text="They spoke.",
)  # fmt: skip
DECISION = RoutingDecision(
    decision_id="c/churn/0", call_id="c", at_ms=AT, rule="churn", action="offer", priority=1, reason="it says so",
    evidence=["c/agent/0"],
)  # fmt: skip
_numbers = itertools.count()


def utterance(number: int, **changes: Any) -> UtteranceResult:
    result = UtteranceResult(
        utterance_id=f"c/agent/{number}", call_id="c", track="agent", number=number, start_ms=0, end_ms=1,
        at_ms=AT, text="hello", confidence=1.0, language="en",
    )  # fmt: skip
    return msgspec.structs.replace(result, **changes)


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    assert PROGRAMS is not None
    running = PostgresServer(PROGRAMS)
    yield running
    running.remove()


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """A server for one test that is going to kill it."""
    assert PROGRAMS is not None
    running = PostgresServer(PROGRAMS)
    yield running
    running.remove()


async def create_database(postgres_server: PostgresServer) -> str:
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres_server.setting())
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return postgres_server.setting(name)


@pytest.fixture
def setting(postgres_server: PostgresServer) -> str:
    """A database that is there and empty."""
    return asyncio.run(create_database(postgres_server))


@pytest.fixture
async def postgres(setting: str):
    """A database with our tables in it."""
    connected = Postgres(setting)
    await upgrade(connected)
    yield connected
    await connected.close()


async def rows(postgres: Postgres, query: str) -> list[tuple[Any, ...]]:
    async with postgres.transaction("reading") as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def contents(postgres: Postgres) -> dict[str, list[tuple[Any, ...]]]:
    return {table: await rows(postgres, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}


async def written(
    postgres_server: PostgresServer, batches: Sequence[Sequence[Record]]
) -> dict[str, list[tuple[Any, ...]]]:
    """What a new database holds after these batches."""
    postgres = Postgres(await create_database(postgres_server))
    try:
        await upgrade(postgres)
        for batch in batches:
            assert await PostgresSink(postgres).write(batch) == []
        return await contents(postgres)
    finally:
        await postgres.close()


@pytest.fixture(scope="module")
def reference(postgres_server: PostgresServer) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables hold when every record was written once, in order."""
    return asyncio.run(written(postgres_server, [records()]))


def test_every_record_has_its_row(reference: dict[str, list[tuple[Any, ...]]]) -> None:
    assert {table: len(held) for table, held in reference.items()} == {
        "calls": 7,
        "utterances": 26,
        "routing_decisions": 3,
    }


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_same_records_again_in_any_order_and_batches_change_nothing(
    postgres_server: PostgresServer, reference: dict[str, list[tuple[Any, ...]]], data: st.DataObject
) -> None:
    twice = data.draw(st.permutations(records() * 2))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(twice)), max_size=4)))
    batches = [twice[a:b] for a, b in itertools.pairwise([0, *cuts, len(twice)])]
    assert asyncio.run(written(postgres_server, batches)) == reference


async def test_a_call_begins_live_and_a_replayed_start_does_not_reopen_it(postgres: Postgres) -> None:
    sink = PostgresSink(postgres)
    columns = "status, started_at, ended_at, duration_ms, queue, metadata, outcome, summary"
    started_at = datetime.fromtimestamp(AT / 1000, UTC)
    await sink.write([STARTED])
    assert await rows(postgres, f"SELECT {columns} FROM calls") == [
        ("live", started_at, None, None, "sales", '{"crm": "17"}', None, None)
    ]
    await sink.write([SUMMARY])
    ended = await rows(postgres, f"SELECT {columns} FROM calls")
    assert ended[0][0] == "ended"
    assert ended[0][3:] == (9_000, "sales", '{"crm": "17"}', "next_step", "They spoke.")
    await sink.write([STARTED, msgspec.structs.replace(SUMMARY, complete=False, text="half")])
    assert await rows(postgres, f"SELECT {columns} FROM calls") == ended
    figures = "SELECT figures -> 'talk_ms' ->> 'agent', figures -> 'insights' ->> 'price' FROM calls"
    assert await rows(postgres, figures) == [("4000", "2")]


async def test_a_complete_utterance_takes_the_place_of_one_that_is_not_and_never_the_reverse(
    postgres: Postgres,
) -> None:
    sink = PostgresSink(postgres)
    half, whole = utterance(0, complete=False), utterance(0, label="positive", emotion="joy")
    for batch in ([half], [whole], [half]):
        await sink.write(batch)
    assert await rows(postgres, "SELECT label, emotion, complete FROM utterances") == [("positive", "joy", True)]


async def test_the_status_that_an_application_set_survives_a_replay(postgres: Postgres) -> None:
    sink = PostgresSink(postgres)
    await sink.write([DECISION])
    assert await rows(postgres, "SELECT status, evidence FROM routing_decisions") == [("open", ["c/agent/0"])]
    await rows(postgres, "UPDATE routing_decisions SET status = 'done'")
    await sink.write([DECISION, msgspec.structs.replace(DECISION, decision_id="c/churn/1")])
    assert await rows(postgres, "SELECT status FROM routing_decisions ORDER BY decision_id") == [("done",), ("open",)]


async def test_several_can_work_off_the_decisions_as_the_document_says(setting: str, postgres: Postgres) -> None:
    operations = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    [take] = re.findall(r"^```sql\n(UPDATE routing_decisions .*?)^```", operations, re.MULTILINE | re.DOTALL)
    decisions = [msgspec.structs.replace(DECISION, decision_id=f"c/{n}", priority=3 - n) for n in range(3)]
    await PostgresSink(postgres).write(decisions)
    other = Postgres(setting)
    async with postgres.transaction("taking") as one, other.transaction("taking") as two:
        assert [(await one.fetchrow(take))["decision_id"], (await two.fetchrow(take))["decision_id"]] == ["c/2", "c/1"]
    await other.close()
    assert await rows(postgres, "SELECT decision_id FROM routing_decisions WHERE status = 'open'") == [("c/0",)]


async def test_bad_records_are_handed_back_and_the_others_written(postgres: Postgres) -> None:
    good = [utterance(n) for n in range(20)]
    bad = [
        utterance(100, text="a\0b"),
        msgspec.structs.replace(utterance(101), number=2**40),
        utterance(102, at_ms=2**80),
        utterance(103, text="\ud800"),
        utterance(104, language=None),
    ]
    rejected = await PostgresSink(postgres).write([*good[:7], *bad[:3], *good[7:], *bad[3:]])
    assert {r.record.key + r.record.utterance_id for r in rejected} == {b.key + b.utterance_id for b in bad}  # type: ignore[attr-defined]
    assert await rows(postgres, "SELECT count(*) FROM utterances") == [(20,)]


async def test_records_wait_for_tables_that_are_missing(setting: str) -> None:
    late, migrating = Postgres(setting), Postgres(setting)
    with pytest.raises(PostgresUnavailableError, match="voicestream db upgrade"):
        await PostgresSink(late, give_up_after_s=0).write([utterance(0)])
    writing = asyncio.create_task(PostgresSink(late).write([utterance(0), utterance(1)]))
    await asyncio.sleep(0.4)
    assert not writing.done()
    await upgrade(migrating)
    assert await writing == []
    assert await rows(migrating, "SELECT count(*) FROM utterances") == [(2,)]
    await late.close()
    await migrating.close()


async def test_a_server_that_is_killed_and_comes_back_loses_nothing(mortal: PostgresServer) -> None:
    postgres = Postgres(mortal.setting())
    await upgrade(postgres)
    sink = PostgresSink(postgres)
    batches = [[utterance(10 * batch + n) for n in range(10)] for batch in range(300)]

    some_written = asyncio.Event()

    async def write_all() -> None:
        for number, batch in enumerate(batches):
            assert await sink.write(batch) == []
            if number == 20:
                some_written.set()

    writing = asyncio.create_task(write_all())
    await some_written.wait()
    mortal.crash()
    assert not writing.done()
    cold = Postgres(mortal.setting())  # never connected before
    with pytest.raises(PostgresUnavailableError, match="No PostgreSQL answers at"):
        await PostgresSink(cold, give_up_after_s=0.3).write([utterance(5_000)])
    await asyncio.to_thread(mortal.start)
    await writing
    assert await rows(postgres, "SELECT count(*) FROM utterances") == [(3_000,)]
    await postgres.close()


async def test_upgrade_from_nothing_then_again_does_nothing_also_at_once(setting: str) -> None:
    several = [Postgres(setting) for _ in range(3)]
    assert [m.applied_at for m in await status(several[0])] == [None]
    done = await asyncio.gather(*(upgrade(postgres) for postgres in several))
    assert sorted(done) == [[], [], ["0001_tables.sql"]]
    assert all(m.applied_at is not None for m in await status(several[0]))
    for postgres in several:
        await postgres.close()


async def test_the_tables_can_have_a_schema_of_their_own(setting: str) -> None:
    postgres = Postgres(f"{setting}?search_path=voices")
    await rows(postgres, "CREATE SCHEMA voices")
    assert await upgrade(postgres) == ["0001_tables.sql"]
    await PostgresSink(postgres).write([STARTED])
    assert await rows(postgres, "SELECT call_id FROM voices.calls") == [("c",)]
    assert await upgrade(postgres) == []
    await postgres.close()


async def test_a_file_changed_after_it_was_applied_is_found_out(postgres: Postgres) -> None:
    await rows(postgres, "UPDATE voicestream_migrations SET checksum = 'other'")
    with pytest.raises(MigrationError, match=r"0001_tables\.sql was changed after it was applied"):
        await upgrade(postgres)


async def test_every_table_and_column_says_what_it_is(postgres: Postgres) -> None:
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    assert {row[0] for row in await rows(postgres, tables)} == {*TABLES, "voicestream_migrations"}
    assert await rows(postgres, f"{tables} AND obj_description(oid, 'pg_class') IS NULL") == []
    columns = (
        "SELECT attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0"
    )
    assert await rows(postgres, f"{columns} AND col_description(attrelid, attnum) IS NULL") == []
    filled = {(upsert.table, column) for upsert in UPSERTS for column in upsert.columns}
    known = {row for row in await rows(postgres, columns) if row[0] in TABLES}
    assert known - filled == {("routing_decisions", "status")}


async def test_errors_say_where_and_what_to_do_and_keep_the_password(postgres_server: PostgresServer) -> None:
    for wrong, what in (
        (
            postgres_server.setting().replace("stream@", "secret@"),
            r"at postgresql://voice@127\.0\.0\.1:.*correct the user",
        ),
        (postgres_server.setting("nothing"), "create the database"),
        (
            "postgresql://me:secret@127.0.0.1:1/x",
            r"No PostgreSQL answers at postgresql://me@127\.0\.0\.1:1/x ",
        ),
    ):
        with pytest.raises(PostgresUnavailableError, match=what) as caught:
            await status(Postgres(wrong))
        assert "secret" not in str(caught.value)
    with pytest.raises(PostgresError, match="is not understood"):
        Postgres("clickhouse://me:secret@localhost/x")


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, setting: str) -> Iterator[Callable[[], None]]:
    """Points the settings to an empty database when it is called."""

    def configure() -> None:
        monkeypatch.setenv("VOICESTREAM_POSTGRES", setting)
        voicestream_settings.cache_clear()

    voicestream_settings.cache_clear()
    yield configure
    voicestream_settings.cache_clear()


def test_the_agent_writes_what_is_sent_and_a_replay_changes_nothing(
    configured: Callable[[], None], setting: str
) -> None:
    configured()

    async def read() -> dict[str, list[tuple[Any, ...]]]:
        postgres = Postgres(setting)
        try:
            return await contents(postgres)
        finally:
            await postgres.close()

    with TopologyTestDriver(agent.stage) as driver:
        driver.topic(topics.calls).send(STARTED, msgspec.structs.replace(STARTED, kind="mark", value="x"))
        driver.topic(topics.results).send(*(utterance(n) for n in range(5)), utterance(9, text="a\0b"), SUMMARY)
        driver.topic(topics.routing).send(DECISION)
        [letter] = driver.topic(topics.dlq).read_all()
        assert (letter.stage, letter.offset, letter.error) == ("postgres", 5, "PostgresDataError")
        before = asyncio.run(read())
        driver.restart(replay=100)
        assert asyncio.run(read()) == before
    assert {table: len(held) for table, held in before.items()} == {"calls": 1, "utterances": 5, "routing_decisions": 1}


def test_the_agent_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, configured: Callable[[], None]) -> None:
    monkeypatch.delenv("VOICESTREAM_POSTGRES", raising=False)
    with pytest.raises(SettingsError, match="VOICESTREAM_POSTGRES is not set"), TopologyTestDriver(agent.stage):
        pass


def test_db_upgrade_and_status_take_postgresql_along(
    monkeypatch: pytest.MonkeyPatch, configured: Callable[[], None], server: Server
) -> None:
    monkeypatch.setenv("VOICESTREAM_CLICKHOUSE", server.setting("beside_postgres"))
    upgrade_clickhouse(ClickHouse(server.setting("beside_postgres")))
    configured()
    status_before = CliRunner().invoke(app, ["db", "status"])
    assert status_before.exit_code == 1
    assert "0001_tables.sql  not applied" in status_before.output
    upgraded = CliRunner().invoke(app, ["db", "upgrade"])
    assert upgraded.exit_code == 0, upgraded.output
    assert "applied 0001_tables.sql\nPostgreSQL at postgresql://voice@127.0.0.1:" in upgraded.output
    assert CliRunner().invoke(app, ["db", "status"]).exit_code == 0
