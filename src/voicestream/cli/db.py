"""``voicestream db``: the tables of the configured databases."""

import asyncio

import typer

from voicestream.errors import VoicestreamError
from voicestream.settings import settings
from voicestream.sinks import migrate
from voicestream.sinks.clickhouse import ClickHouse, connect
from voicestream.sinks.migration_files import Migration

app = typer.Typer(no_args_is_help=True, help="Create and update the tables of ClickHouse, and of PostgreSQL if set.")


@app.command()
def upgrade() -> None:
    """Create the tables, or bring them up to date; does nothing when they are."""
    try:
        clickhouse = ClickHouse(settings().clickhouse)
        try:
            done = migrate.upgrade(clickhouse)
        finally:
            clickhouse.close()
        _say_done(done, f"ClickHouse at {clickhouse.where}")
        if (postgres := settings().postgres) is not None:
            _say_done(*asyncio.run(_upgrade_postgres(postgres)))
    except VoicestreamError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def status() -> None:
    """List the migrations and when each was applied; exit code 1 while one is missing."""
    try:
        clickhouse = connect(settings().clickhouse)
        try:
            migrations = migrate.status(clickhouse)
        finally:
            clickhouse.close()
        _say_status(migrations)
        if (postgres := settings().postgres) is not None:
            of_postgres, where = asyncio.run(_postgres_status(postgres))
            typer.echo(where)
            _say_status(of_postgres)
            migrations += of_postgres
    except VoicestreamError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if any(migration.applied_at is None for migration in migrations):
        raise typer.Exit(1)


def _say_done(done: list[str], where: str) -> None:
    for name in done:
        typer.echo(f"applied {name}")
    typer.echo(f"{where} is up to date")


def _say_status(migrations: list[Migration]) -> None:
    for migration in migrations:
        at = f"{migration.applied_at:%Y-%m-%d %H:%M:%S} UTC" if migration.applied_at else "not applied"
        typer.echo(f"{migration.name}  {at}")


async def _upgrade_postgres(setting: str) -> tuple[list[str], str]:
    from voicestream.sinks.postgres import Postgres
    from voicestream.sinks.postgres_migrate import upgrade

    postgres = Postgres(setting)
    try:
        return await upgrade(postgres), f"PostgreSQL at {postgres.where}"
    finally:
        await postgres.close()


async def _postgres_status(setting: str) -> tuple[list[Migration], str]:
    from voicestream.sinks.postgres import Postgres
    from voicestream.sinks.postgres_migrate import status

    postgres = Postgres(setting)
    try:
        return await status(postgres), f"PostgreSQL at {postgres.where}"
    finally:
        await postgres.close()
