"""The tables of ClickHouse, brought up to date by numbered SQL files."""

from voicestream.sinks.clickhouse import ClickHouse
from voicestream.sinks.migration_files import Migration, with_applied

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number     UInt32                COMMENT 'Number of the migration.',
    name       String                COMMENT 'File name of the migration.',
    checksum   String                COMMENT 'Hash of the file as it was applied.',
    applied_at DateTime64(3, 'UTC')  DEFAULT now64(3) COMMENT 'When it was applied.'
)
ENGINE = ReplacingMergeTree
ORDER BY number
COMMENT 'Migrations that have been applied.'
"""


def status(clickhouse: ClickHouse) -> list[Migration]:
    """Every migration in order; ``applied_at`` is None for those that are still to be applied.

    Raises:
        MigrationError: a file was changed after it was applied.
    """
    known = clickhouse.query("EXISTS TABLE schema_migrations").rows[0][0]
    query = "SELECT number, checksum, applied_at FROM schema_migrations FINAL"
    applied = {number: (checksum, at) for number, checksum, at in clickhouse.query(query).rows} if known else {}
    return with_applied("migrations", applied, f"ClickHouse at {clickhouse.where}")


def upgrade(clickhouse: ClickHouse) -> list[str]:
    """Create the database if need be and apply what is missing, in order; returns the names of what was applied.

    Every statement can be run twice, so two that upgrade at once, or one that is cut off, do no harm.
    """
    clickhouse.create_database()
    clickhouse.command(_TABLE)
    done = []
    for migration in status(clickhouse):
        if migration.applied_at is not None:
            continue
        for statement in migration.statements:
            clickhouse.command(statement)
        clickhouse.command(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES "
            f"({migration.number}, '{migration.name}', '{migration.checksum}')"
        )
        done.append(migration.name)
    return done
