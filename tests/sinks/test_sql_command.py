"""``voicestream sql`` and ``voicestream db`` against a real server."""

import json
from collections.abc import Iterator

import pytest
import typer
from clickhouse_process import Server
from typer.testing import CliRunner, Result

from voicestream import settings as settings_module
from voicestream.cli import db
from voicestream.cli.sql import sql


def run(app: typer.Typer, *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def app(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[typer.Typer]:
    """The two commands, with their database set but not made."""
    monkeypatch.setenv("VOICESTREAM_CLICKHOUSE", server.setting("commands"))
    settings_module.settings.cache_clear()
    app = typer.Typer()
    app.command()(sql)
    app.add_typer(db.app, name="db")
    yield app
    settings_module.settings.cache_clear()


def test_upgrade_then_ask(app: typer.Typer) -> None:
    missing = run(app, "sql", "SELECT 1")
    assert missing.exit_code == 1
    assert "voicestream db upgrade" in missing.output
    assert run(app, "db", "upgrade").output.count("applied") == 2
    assert "is up to date" in run(app, "db", "upgrade").output
    assert "not applied" not in run(app, "db", "status").output

    table = run(app, "sql", "SELECT 1 AS one, 'two [b]words[/b]' AS two, NULL AS none, [0.5] AS list;")
    assert table.exit_code == 0
    assert "two [b]words[/b]" in table.output
    answer = run(app, "sql", "--format", "json", "SELECT 1 AS one")
    assert json.loads(answer.output) == {"one": 1}
    assert run(app, "sql", "--format", "csv", "SELECT 1 AS one").output == '"one"\n1\n'
    assert CliRunner().invoke(app, ["sql", "-"], input="SELECT 40 + 2\n").output.count("42") == 1


def test_a_refused_query_is_told_in_one_line(app: typer.Typer) -> None:
    run(app, "db", "upgrade")
    refused = run(app, "sql", "SELECT nope FROM v_calls")
    assert refused.exit_code == 1
    assert "Unknown expression identifier `nope`" in refused.output
    assert "Traceback" not in refused.output
