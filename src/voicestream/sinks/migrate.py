"""The tables of ClickHouse, brought up to date by numbered SQL files."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from voicestream.errors import ClickHouseError
from voicestream.sinks.clickhouse import ClickHouse

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


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration file: what it is called, what it does, and when it was applied here."""

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str
    applied_at: datetime | None = None


def status(clickhouse: ClickHouse) -> list[Migration]:
    """Every migration in order; ``applied_at`` is None for those that are still to be applied.

    Raises:
        ClickHouseError: a file was changed after it was applied.
    """
    known = clickhouse.query("EXISTS TABLE schema_migrations").rows[0][0]
    query = "SELECT number, checksum, applied_at FROM schema_migrations FINAL"
    applied = {number: (checksum, at) for number, checksum, at in clickhouse.query(query).rows} if known else {}
    migrations = []
    for migration in _files():
        checksum, at = applied.get(migration.number, (migration.checksum, None))
        if checksum != migration.checksum:
            raise ClickHouseError(
                f"ClickHouse at {clickhouse.where}: migration {migration.name} was changed after it was applied there "
                f"({at:%Y-%m-%d %H:%M}): put the file back as it was and write the change as a new migration"
            )
        migrations.append(
            Migration(migration.number, migration.name, migration.statements, migration.checksum, applied_at=at)
        )
    return migrations


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


def _files() -> list[Migration]:
    folder = resources.files("voicestream.sinks") / "migrations"
    migrations = []
    for file in folder.iterdir():
        if found := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            text = file.read_text(encoding="utf-8")
            statements = tuple(part.strip() for part in re.split(r";\s*$", text, flags=re.MULTILINE) if part.strip())
            checksum = hashlib.sha256(text.encode()).hexdigest()[:16]
            migrations.append(Migration(int(found[1]), file.name, statements, checksum))
    return sorted(migrations, key=lambda migration: migration.number)
