"""Bytes of a topic to records and back: Avro, framed so that every value names its schema.

Single-object encoding (Avro specification 1.11): ``C3 01``, the 8 bytes of the CRC-64-AVRO fingerprint, the datum.
Confluent framing, when a registry is configured: ``00``, the 4 bytes of the registry's schema id, the datum.
Both are understood when reading, whichever is written.
"""

import io
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import fastavro
import msgspec

from voicestream.streams.avro.schemas import Schema, SchemaSet
from voicestream.streams.errors import DecodeError, EncodeError
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"


class Registry(Protocol):
    """What the codec needs of a schema registry."""

    def id_of(self, topic: str, schema: Schema) -> int:
        """The id of ``schema`` for ``topic``; registers it where it is new."""

    def schema_of(self, schema_id: int) -> Any:
        """The parsed schema with that id; raises ``DecodeError`` where there is none."""


class _Reading(NamedTuple):
    """How to read the values of a topic that begin with certain bytes."""

    kind: type[Record]
    writer: Any
    reader: Any  # None where it is the writer's: fastavro need not compare them


class _Writing(NamedTuple):
    """How to write the records of one type to a topic."""

    header: bytes
    schema: Any


class Codec:
    """Encodes and decodes the records of any topic; safe to share, holds no state but caches."""

    def __init__(self, schemas: SchemaSet, registry: Registry | None = None) -> None:
        self._schemas = schemas
        self._registry = registry
        self._readings: dict[tuple[Topic[Any], bytes], _Reading] = {}
        self._writings: dict[tuple[Topic[Any], type[Record]], _Writing] = {}

    def encode(self, topic: Topic[Any], record: Record) -> bytes:
        """The bytes of ``record`` on ``topic``; raises ``EncodeError`` when it does not belong there."""
        kind = type(record)
        writing = self._writings.get((topic, kind)) or self._writing(topic, kind)
        out = io.BytesIO()
        out.write(writing.header)
        try:
            fastavro.schemaless_writer(out, writing.schema, msgspec.to_builtins(record, builtin_types=(bytes,)))
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise EncodeError(f"topic {topic.name}: {kind.__name__} does not fit its schema: {error}") from error
        return out.getvalue()

    def decode(self, topic: Topic[Any], data: bytes | None) -> Record:
        """The record in ``data``; raises ``DecodeError`` saying what is wrong with the bytes."""
        if data is None:
            raise DecodeError(f"topic {topic.name}: the message has no value")
        header = _header(data)
        reading = self._readings.get((topic, header)) or self._reading(topic, header)
        stream = io.BytesIO(data)
        stream.seek(len(header))
        try:
            datum = fastavro.schemaless_reader(stream, reading.writer, reading.reader)
            if stream.tell() != len(data):
                raise DecodeError(f"topic {topic.name}: bytes are left behind the {reading.kind.__name__}")
            return msgspec.convert(datum, reading.kind, builtin_types=(bytes,))
        except DecodeError:
            raise
        # Damaged bytes make the reader fail in many ways (EOFError, IndexError, MemoryError, UnicodeDecodeError …).
        except Exception as error:
            name = reading.kind.__name__
            raise DecodeError(f"topic {topic.name}: not a valid {name}: {type(error).__name__}: {error}") from error

    def datum(self, topic: Topic[Any], data: bytes | None) -> tuple[str, Any]:
        """Name and plain values of what is in ``data``, whether or not ``topic`` carries it; raises ``DecodeError``."""
        if data is None:
            raise DecodeError(f"topic {topic.name}: the message has no value")
        header = _header(data)
        writer, name = self._writer_schema(topic, header)
        try:
            return name, fastavro.schemaless_reader(io.BytesIO(data[len(header) :]), writer, None)
        except Exception as error:  # as in decode
            raise DecodeError(f"topic {topic.name}: not a valid {name}: {type(error).__name__}: {error}") from error

    def problems(self, topics: Iterable[Topic[Any]]) -> Iterator[str]:
        """Why records that the topics carry cannot be encoded or decoded: what is wrong with their schemas."""
        for topic in topics:
            for problem in check_records(self._schemas, topic.types):
                yield f"topic {topic.name}, {problem}"

    def _writing(self, topic: Topic[Any], kind: type[Record]) -> _Writing:
        name = kind.__name__
        if not issubclass(kind, topic.types):
            known = ", ".join(t.__name__ for t in topic.types)
            raise EncodeError(f"topic {topic.name}: it carries {known}, not {name}")
        schema = self._schemas.current.get(name)
        if schema is None:
            raise EncodeError(f"topic {topic.name}: no Avro schema named {name}; add it to the schemas folder")
        if self._registry is None:
            header = SINGLE_OBJECT + schema.fingerprint
        else:
            header = CONFLUENT + self._registry.id_of(topic.name, schema).to_bytes(4, "big")
        return self._writings.setdefault((topic, kind), _Writing(header, schema.parsed))

    def _reading(self, topic: Topic[Any], header: bytes) -> _Reading:
        writer, name = self._writer_schema(topic, header)
        kind = next((t for t in topic.types if t.__name__ == name), None)
        if kind is None:
            known = ", ".join(t.__name__ for t in topic.types)
            raise DecodeError(f"topic {topic.name}: it carries {known}, but the message is of schema {name}")
        current = self._schemas.current[name].parsed
        reading = _Reading(kind, writer, None if writer == current else current)
        return self._readings.setdefault((topic, header), reading)

    def _writer_schema(self, topic: Topic[Any], header: bytes) -> tuple[Any, str]:
        if header.startswith(SINGLE_OBJECT) and len(header) == 10:
            schema = self._schemas.by_fingerprint.get(header[2:])
            if schema is None:
                raise DecodeError(
                    f"topic {topic.name}: unknown schema, fingerprint {header[2:].hex()}: "
                    "none in the schemas folder has it"
                )
            return schema.parsed, schema.name
        if header.startswith(CONFLUENT) and len(header) == 5:
            schema_id = int.from_bytes(header[1:], "big")
            if self._registry is None:
                raise DecodeError(
                    f"topic {topic.name}: the message names schema {schema_id} of a registry, but none is configured"
                )
            parsed = self._registry.schema_of(schema_id)
            if not isinstance(parsed, dict) or "name" not in parsed:
                raise DecodeError(f"topic {topic.name}: schema {schema_id} of the registry is no record")
            return parsed, parsed["name"].rpartition(".")[2]
        raise DecodeError(f"topic {topic.name}: no Avro framing, the message begins with {header.hex() or 'nothing'}")


def _header(data: bytes) -> bytes:
    return data[: 5 if data.startswith(CONFLUENT) else 10]


def check_records(schemas: SchemaSet, records: Iterable[type[Record]]) -> list[str]:
    """Where the fields of the records and of their schemas differ, in words; empty when they agree."""
    problems = []
    for record in records:
        schema = schemas.current.get(record.__name__)
        if schema is None:
            problems.append(f"{record.__name__}: no Avro schema has that name: add one to the schemas folder")
            continue
        ours = {field.encode_name: field for field in msgspec.structs.fields(record)}
        theirs = {field["name"]: field for field in schema.source["fields"]}
        problems += [f"{record.__name__}.{name}: not in the schema" for name in ours.keys() - theirs.keys()]
        problems += [f"{record.__name__}.{name}: not in the record" for name in theirs.keys() - ours.keys()]
        for name in ours.keys() & theirs.keys():
            if ours[name].required == ("default" in theirs[name]):
                problems.append(f"{record.__name__}.{name}: it has a default on one side only")
    return problems
