"""Migrations of ClickHouse: from nothing, twice, and at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_process import Server

from voicestream.errors import ClickHouseError, ClickHouseUnavailableError, MigrationError
from voicestream.sinks.clickhouse import ClickHouse, connect
from voicestream.sinks.clickhouse_rows import MAPPINGS
from voicestream.sinks.migrate import status, upgrade

TABLES = {mapping.table for mapping in MAPPINGS}


def test_upgrade_from_nothing_then_again_does_nothing(empty: ClickHouse) -> None:
    with pytest.raises(ClickHouseError, match="voicestream db upgrade"):
        empty.query("SELECT 1")
    assert upgrade(empty) == ["0001_tables.sql", "0002_views.sql"]
    assert upgrade(empty) == []
    assert all(migration.applied_at is not None for migration in status(empty))
    tables = {row[0] for row in empty.query("SHOW TABLES").rows}
    assert tables >= TABLES | {f"v_{table}" for table in TABLES}


def test_two_upgrades_at_once_do_no_harm(server: Server) -> None:
    setting = server.setting("raced")
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: upgrade(ClickHouse(setting)), range(3)))
    assert upgrade(connect(setting)) == []


def test_a_file_changed_after_it_was_applied_is_found_out(clickhouse: ClickHouse) -> None:
    clickhouse.command("INSERT INTO schema_migrations (number, name, checksum) VALUES (1, '0001_tables.sql', 'other')")
    with pytest.raises(MigrationError, match=r"0001_tables\.sql was changed after it was applied"):
        upgrade(clickhouse)


def test_every_table_and_column_says_what_it_is(clickhouse: ClickHouse) -> None:
    silent = "database = currentDatabase() AND comment = ''"
    columns = f"SELECT table, name FROM system.columns WHERE {silent} AND NOT startsWith(table, 'v_')"
    assert clickhouse.query(columns).rows == []
    assert clickhouse.query(f"SELECT name FROM system.tables WHERE {silent}").rows == []


def test_the_mapping_fills_every_column_or_leaves_it_to_a_default(clickhouse: ClickHouse) -> None:
    left_out_on_purpose = {"CallEvent": {"ended_at", "duration_ms", "reason", "outcome", "text"}}
    for mapping in MAPPINGS:
        columns = {row[0] for row in clickhouse.query(f"DESCRIBE TABLE {mapping.table}").rows}
        assert set(mapping.columns) <= columns
        if mapping.record.__name__ not in left_out_on_purpose:
            assert set(mapping.columns) == columns


def test_errors_say_where_and_what_to_do(server: Server) -> None:
    with pytest.raises(
        ClickHouseUnavailableError, match=r"No ClickHouse answers at clickhouse://me@127.0.0.1:1/x .*start it"
    ):
        connect("clickhouse://me:secret@127.0.0.1:1/x")
    with pytest.raises(ClickHouseError, match="is not understood") as caught:
        connect("postgres://me:secret@localhost/x")
    assert "secret" not in str(caught.value)
    with pytest.raises(ClickHouseError, match="letters, digits and _"):
        connect("clickhouse://localhost/a;b")
    with pytest.raises(ClickHouseError, match="is empty"):
        connect(" ")


def test_the_folder_of_a_running_server_leads_to_the_server(server: Server, clickhouse: ClickHouse) -> None:
    here = connect(str(server.path))
    assert here.query("SELECT hostName() != ''").rows == [(1,)]
    here.close()
