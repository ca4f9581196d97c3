"""The command ``voicestream``."""

from typing import Annotated

import typer

from voicestream.cli.lazy import LazyGroup


class Commands(LazyGroup):
    """Every command; each lives in a module of its own."""

    COMMANDS = {
        "demo": ("voicestream.cli.demo:demo", "Start everything, play calls, and show what becomes of them."),
        "up": ("voicestream.cli.up:up", "Start everything on this machine, until interrupted."),
        "gateway": ("voicestream.cli.gateway:gateway", "Run the gateway alone."),
        "call": ("voicestream.cli.call:call", "Play audio files to a gateway as telephone calls."),
        "topology": ("voicestream.cli.topology:topology", "Print the graph of stages and topics."),
        "sql": ("voicestream.cli.sql:sql", "Ask the configured ClickHouse."),
        "db": ("voicestream.cli.db:app", "Create and update the tables of ClickHouse."),
        "topics": (
            "voicestream.cli.topics:app",
            "Create the topics on the configured broker, and read what is on them.",
        ),
        "dlq": ("voicestream.cli.dlq:app", "List dead letters, show them, and put their messages back."),
        "state": ("voicestream.cli.state:app", "Ask running workers what their stores hold."),
        "models": ("voicestream.cli.models:app", "List and download model weights."),
        "schemas": ("voicestream.cli.schemas:app", "Check and register the Avro schemas."),
        "agent": ("voicestream.cli.agent:app", "Write a new agent with its schema and its test."),
        "settings": (
            "voicestream.cli.settings:settings",
            "Print every setting, its source and its meaning.",
        ),
    }


app = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"voicestream {version('voicestream')}")
        raise typer.Exit


@app.callback()
def voicestream(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Kafka Streams for live voice: phone calls become structured data while they are spoken."""
