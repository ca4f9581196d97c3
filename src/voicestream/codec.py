"""The codec of voicestream's own topics."""

from functools import lru_cache
from pathlib import Path

from voicestream.settings import settings
from voicestream.streams.avro.codec import Codec
from voicestream.streams.avro.registry import ConfluentRegistry
from voicestream.streams.avro.schemas import SchemaSet


def schema_folder() -> Path:
    """Where the ``.avsc`` files are: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parents[1] / "schemas"


@lru_cache
def codec() -> Codec:
    """The codec as configured: Confluent framing with a schema registry, single-object encoding without."""
    registry = settings().schema_registry
    schemas = SchemaSet.of_folders(schema_folder(), settings().schemas)
    return Codec(schemas, ConfluentRegistry(registry) if registry else None)
