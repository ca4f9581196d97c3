"""``voicestream sql``: a query on the configured ClickHouse."""

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from voicestream.errors import SettingsError, VoicestreamError
from voicestream.settings import settings
from voicestream.sinks.clickhouse import ClickHouse, connect


class Format(StrEnum):
    """How an answer is printed."""

    table = "table"
    csv = "csv"
    json = "json"  # one object a line


_CLICKHOUSE_FORMAT = {Format.csv: "CSVWithNames", Format.json: "JSONEachRow"}


def run_query(clickhouse: ClickHouse, query: str) -> RichTable:
    """The answer to a query as a table for the terminal; numbers to the right, times in UTC.

    Raises:
        ClickHouseError: the query is refused.
    """
    answer = clickhouse.query(query)
    table = RichTable(header_style="bold")
    for index, name in enumerate(answer.columns):
        numeric = all(isinstance(row[index], int | float | None) for row in answer.rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def sql(
    query: Annotated[str, typer.Argument(help="The query; - reads it from standard input.")],
    output: Annotated[Format, typer.Option("--format", help="table, csv, or json (an object a line).")] = Format.table,
) -> None:
    """Ask the configured ClickHouse (VOICESTREAM_CLICKHOUSE); docs/analytics.md has the tables and many questions."""
    text = (sys.stdin.read() if query == "-" else query).strip().rstrip(";")
    if not text:
        raise SettingsError("there is no query: voicestream sql 'SELECT count() FROM v_calls'")
    try:
        clickhouse = connect(settings().clickhouse)
        try:
            if output is Format.table:
                Console().print(run_query(clickhouse, text))
            else:
                sys.stdout.buffer.write(clickhouse.raw(text, _CLICKHOUSE_FORMAT[output]))
        finally:
            clickhouse.close()
    except VoicestreamError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)
