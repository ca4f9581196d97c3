"""``voicestream db``: the tables of the configured database."""

import typer

from voicestream.errors import VoicestreamError
from voicestream.settings import settings
from voicestream.sinks import migrate
from voicestream.sinks.clickhouse import ClickHouse, connect

app = typer.Typer(no_args_is_help=True, help="Create and update the tables of ClickHouse.")


@app.command()
def upgrade() -> None:
    """Create the database and its tables, or bring them up to date; does nothing when they are."""
    try:
        clickhouse = ClickHouse(settings().clickhouse)
        try:
            done = migrate.upgrade(clickhouse)
        finally:
            clickhouse.close()
    except VoicestreamError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for name in done:
        typer.echo(f"applied {name}")
    typer.echo(f"ClickHouse at {clickhouse.where} is up to date")


@app.command()
def status() -> None:
    """List the migrations and when each was applied; exit code 1 while one is missing."""
    try:
        clickhouse = connect(settings().clickhouse)
        try:
            migrations = migrate.status(clickhouse)
        finally:
            clickhouse.close()
    except VoicestreamError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for migration in migrations:
        at = f"{migration.applied_at:%Y-%m-%d %H:%M:%S} UTC" if migration.applied_at else "not applied"
        typer.echo(f"{migration.name}  {at}")
    if any(migration.applied_at is None for migration in migrations):
        raise typer.Exit(1)
