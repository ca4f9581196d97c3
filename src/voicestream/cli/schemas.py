"""``voicestream schemas``: Avro compatibility, and the schema registry."""

from pathlib import Path
from typing import Annotated

import typer

from voicestream.codec import schema_folder
from voicestream.compatibility import problems, released
from voicestream.errors import SchemaError, SettingsError
from voicestream.settings import settings

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def check(
    folder: Annotated[Path | None, typer.Option(help="The folder with *.avsc and released/VERSION/*.avsc.")] = None,
) -> None:
    """Hold the schemas against every released version, both ways."""
    where = folder or schema_folder()
    found = problems(where)
    if found:
        raise SchemaError("\n".join(["the schemas are not compatible with what was released:", *found]))
    typer.echo(
        f"{len(list(where.glob('*.avsc')))} schemas are compatible, both ways, with {', '.join(released(where))}"
    )


@app.command()
def register() -> None:
    """Register the schema of every record of every topic with the configured registry."""
    from voicestream import topics
    from voicestream.streams.avro.registry import ConfluentRegistry
    from voicestream.streams.avro.schemas import SchemaSet

    url = settings().schema_registry
    if not url:
        raise SettingsError("no schema registry is configured: set VOICESTREAM_SCHEMA_REGISTRY to its URL")
    registry, schemas = ConfluentRegistry(url), SchemaSet.of_folders(schema_folder())
    for topic in topics.ALL:
        for record in topic.types:
            schema = schemas.current[record.__name__]
            typer.echo(f"{topic.name}-{schema.full_name}: schema {registry.id_of(topic.name, schema)}")
