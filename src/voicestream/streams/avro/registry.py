"""A Confluent schema registry, as the codec needs it."""

import json
from functools import cached_property
from typing import Any

import fastavro

from voicestream.streams.avro.schemas import Schema
from voicestream.streams.errors import DecodeError, RegistryError, StreamsError

NOT_FOUND = 404
TOO_MANY = 429


class ConfluentRegistry:
    """Subjects are named ``TOPIC-RECORD`` (TopicRecordNameStrategy): a topic may carry several record types."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._by_id: dict[int, Any] = {}

    @cached_property
    def _client(self) -> Any:
        from confluent_kafka.schema_registry import SchemaRegistryClient

        return SchemaRegistryClient({"url": self._url})

    def id_of(self, topic: str, schema: Schema) -> int:
        """The id; ``StreamsError`` where the registry refuses the schema, ``RegistryError`` where nobody can tell."""
        from confluent_kafka.schema_registry import Schema as RegistrySchema

        subject = f"{topic}-{schema.full_name}"
        try:
            return int(self._client.register_schema(subject, RegistrySchema(json.dumps(schema.source), "AVRO")))
        except Exception as error:
            kind = StreamsError if _refused(error) else RegistryError
            raise kind(f"schema registry {self._url}: cannot register {subject}: {error}") from error

    def schema_of(self, schema_id: int) -> Any:
        """The schema; ``DecodeError`` where there is none with that id, ``RegistryError`` where nobody can tell."""
        if schema_id not in self._by_id:
            from confluent_kafka.schema_registry import SchemaRegistryError

            try:
                found = self._client.get_schema(schema_id).schema_str
            except Exception as error:
                if isinstance(error, SchemaRegistryError) and error.http_status_code == NOT_FOUND:
                    raise DecodeError(f"schema registry {self._url}: no schema {schema_id}: {error}") from error
                # It may be as good as any other message: only the registry is away.
                raise RegistryError(
                    f"schema registry {self._url}: schema {schema_id} cannot be looked up: {error}"
                ) from error
            try:
                self._by_id[schema_id] = fastavro.parse_schema(json.loads(found))
            except Exception as error:
                raise DecodeError(f"schema registry {self._url}: schema {schema_id} is no Avro: {error}") from error
        return self._by_id[schema_id]


def _refused(error: Exception) -> bool:
    from confluent_kafka.schema_registry import SchemaRegistryError

    if not isinstance(error, SchemaRegistryError):
        return False
    return 400 <= error.http_status_code < 500 and error.http_status_code != TOO_MANY
