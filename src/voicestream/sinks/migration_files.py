"""Numbered SQL files, and which of them a database has."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources

from voicestream.errors import MigrationError


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration file: what it is called, what it does, and when it was applied here."""

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str
    applied_at: datetime | None = None


def migration_files(folder: str) -> list[Migration]:
    """The migrations of a folder of this package, in order."""
    migrations = []
    for file in (resources.files("voicestream.sinks") / folder).iterdir():
        if found := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            text = file.read_text(encoding="utf-8")
            statements = tuple(part.strip() for part in re.split(r";\s*$", text, flags=re.MULTILINE) if part.strip())
            checksum = hashlib.sha256(text.encode()).hexdigest()[:16]
            migrations.append(Migration(int(found[1]), file.name, statements, checksum))
    return sorted(migrations, key=lambda migration: migration.number)


def with_applied(folder: str, applied: Mapping[int, tuple[str, datetime]], where: str) -> list[Migration]:
    """The migrations of a folder with when each was applied; ``applied`` is checksum and time by number.

    Raises:
        MigrationError: a file was changed after it was applied.
    """
    migrations = []
    for migration in migration_files(folder):
        checksum, at = applied.get(migration.number, (migration.checksum, None))
        if checksum != migration.checksum:
            raise MigrationError(
                f"{where}: migration {migration.name} was changed after it was applied there "
                f"({at:%Y-%m-%d %H:%M}): put the file back as it was and write the change as a new migration"
            )
        migrations.append(replace(migration, applied_at=at))
    return migrations
