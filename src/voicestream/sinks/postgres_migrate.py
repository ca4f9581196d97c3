"""The tables of PostgreSQL, brought up to date by numbered SQL files."""

import asyncpg

from voicestream.sinks.migration_files import Migration, with_applied
from voicestream.sinks.postgres import Postgres

_TABLE = """
CREATE TABLE IF NOT EXISTS voicestream_migrations
(
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE voicestream_migrations IS 'Migrations that have been applied.';
COMMENT ON COLUMN voicestream_migrations.number IS 'Number of the migration.';
COMMENT ON COLUMN voicestream_migrations.name IS 'File name of the migration.';
COMMENT ON COLUMN voicestream_migrations.checksum IS 'Hash of the file as it was applied.';
COMMENT ON COLUMN voicestream_migrations.applied_at IS 'When it was applied.';
"""
_LOCK = 0x766F696365  # any number that nobody else takes: "voice"


async def status(postgres: Postgres) -> list[Migration]:
    """Every migration in order; ``applied_at`` is None for those that are still to be applied.

    Raises:
        MigrationError: a file was changed after it was applied.
    """
    async with postgres.transaction("reading its migrations") as connection:
        return await _status(connection, postgres.where)


async def upgrade(postgres: Postgres) -> list[str]:
    """Apply what is missing, in order and all of it or nothing; returns the names of what was applied.

    Raises:
        MigrationError: a file was changed after it was applied.
    """
    async with postgres.transaction("upgrading") as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)  # workers that start at once take turns
        missing = [m for m in await _status(connection, postgres.where) if m.applied_at is None]
        if missing:
            await connection.execute(_TABLE)
        for migration in missing:
            for statement in migration.statements:
                await connection.execute(statement)
            await connection.execute(
                "INSERT INTO voicestream_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    return [migration.name for migration in missing]


async def _status(connection: asyncpg.Connection, where: str) -> list[Migration]:
    known = await connection.fetchval("SELECT to_regclass('voicestream_migrations') IS NOT NULL")
    query = "SELECT number, checksum, applied_at FROM voicestream_migrations"
    rows = await connection.fetch(query) if known else []
    applied = {row["number"]: (row["checksum"], row["applied_at"]) for row in rows}
    return with_applied("postgres_migrations", applied, f"PostgreSQL at {where}")
