"""Whether the schemas can still read what was written, and what they write can still be read."""

import json
from collections.abc import Iterator
from pathlib import Path

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import Schema, parse

from voicestream.errors import SchemaError


def problems(folder: Path) -> list[str]:
    """What is not compatible, both ways, between ``folder/*.avsc`` and every ``folder/released/VERSION/*.avsc``.

    One line each, with the version, the record, the place in it and the reason; empty when all is well. Raises
    ``SchemaError`` when a file is no Avro schema.
    """
    current = _read(folder)
    found = []
    for version in sorted(path for path in (folder / "released").glob("*") if path.is_dir()):
        for name, old in _read(version).items():
            if name not in current:
                found.append(f"{version.name}: {name} was released and is gone; messages of it could not be read")
                continue
            new = current[name]
            found += [f"{version.name}: the new {name} cannot read the old one: {why}" for why in _clashes(new, old)]
            found += [f"{version.name}: the old {name} cannot read the new one: {why}" for why in _clashes(old, new)]
    return found


def released(folder: Path) -> list[str]:
    """The versions that were released."""
    return sorted(path.name for path in (folder / "released").glob("*") if path.is_dir())


def _read(folder: Path) -> dict[str, Schema]:
    schemas = {}
    for path in sorted(folder.glob("*.avsc")):
        try:
            source = json.loads(path.read_text())
            schemas[source["name"]] = parse(json.dumps(source))
        except (OSError, ValueError, KeyError, AvroException) as error:
            raise SchemaError(f"{path}: not an Avro schema: {error}") from error
    return schemas


def _clashes(reader: Schema, writer: Schema) -> Iterator[str]:
    result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call]
    if result.compatibility is not SchemaCompatibilityType.compatible:
        for message, location in zip(sorted(result.messages), sorted(result.locations), strict=False):
            yield f"{location}: {message}"
