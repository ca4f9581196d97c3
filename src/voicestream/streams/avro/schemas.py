"""Avro schemas: every one that is current, and every one that was ever released."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from voicestream.streams.errors import StreamsError


@dataclass(frozen=True)
class Schema:
    """One Avro schema: as it was written, parsed, and its CRC-64-AVRO fingerprint (8 bytes, little-endian)."""

    name: str
    source: Mapping[str, Any]
    parsed: Any
    fingerprint: bytes

    @property
    def full_name(self) -> str:
        """The name with its namespace."""
        namespace = self.source.get("namespace")
        return f"{namespace}.{self.name}" if namespace else self.name

    @classmethod
    def load(cls, path: Path) -> "Schema":
        """Read an ``.avsc`` file; raises ``StreamsError`` naming the file when it is no Avro schema."""
        try:
            source = json.loads(path.read_text())
            parsed = fastavro.parse_schema(source)
            digest = fingerprint(to_parsing_canonical_form(source), "CRC-64-AVRO")
        except (OSError, ValueError, KeyError, fastavro.schema.SchemaParseException) as error:
            raise StreamsError(f"{path}: not an Avro schema: {error}") from error
        return cls(source["name"], source, parsed, bytes.fromhex(digest))


class SchemaSet:
    """Current schemas by name, and all of them, released ones too, by fingerprint."""

    def __init__(self, current: Iterable[Schema], released: Iterable[Schema] = ()) -> None:
        self.current = {schema.name: schema for schema in current}
        self.by_fingerprint = {schema.fingerprint: schema for schema in (*released, *self.current.values())}

    @classmethod
    def of_folders(cls, *folders: Path) -> "SchemaSet":
        """``FOLDER/*.avsc`` are current, ``FOLDER/released/VERSION/*.avsc`` were released; later folders add."""
        return cls(
            [Schema.load(path) for folder in folders for path in sorted(folder.glob("*.avsc"))],
            [Schema.load(path) for folder in folders for path in sorted(folder.glob("released/*/*.avsc"))],
        )
