"""``voicestream topology``: the graph of stages and topics."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from voicestream.streams import topology as graph


class Format(StrEnum):
    """How the graph is printed."""

    text = "text"
    mermaid = "mermaid"
    dot = "dot"
    json = "json"


def topology(
    form: Annotated[Format, typer.Option("--format", help="text, mermaid, dot or json")] = Format.text,
) -> None:
    """Print the graph of stages and topics."""
    from agents.all import STAGES

    match form:
        case Format.text:
            typer.echo(graph.as_text(STAGES))
        case Format.mermaid:
            typer.echo(graph.as_mermaid(STAGES))
        case Format.dot:
            typer.echo(graph.as_dot(STAGES))
        case Format.json:
            typer.echo(json.dumps(graph.describe(STAGES), indent=2))
