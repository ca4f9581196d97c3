"""``voicestream topology``: the graph of stages and topics, and whether they fit together."""

import json
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from voicestream.cli.modules import Found, all_modules, find
from voicestream.codec import codec
from voicestream.settings import settings
from voicestream.streams.topology.checks import problems, unknown_topics
from voicestream.streams.topology.model import all_topics, graph, partition_counts
from voicestream.streams.topology.views import as_dot, as_mermaid, as_text


class Format(StrEnum):
    """How the graph is printed."""

    text = "text"
    mermaid = "mermaid"
    dot = "dot"
    json = "json"


def topology(
    modules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULE]...",
            help="Modules with stages, as `faust -A` takes them; every stage of agents.all, and those in a folder "
            "agents/ here, if none is given.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="text, mermaid, dot or json")] = Format.text,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what does not fit; exit code 1 if anything.")
    ] = False,
) -> None:
    """Print the graph of stages, topics and stores, or check that they fit together."""
    found = find(modules or all_modules())
    if check:
        _check(found, whole=not modules)
        return
    drawn = graph(found.stages)
    match form:
        case Format.text:
            typer.echo(as_text(drawn))
        case Format.mermaid:
            typer.echo(as_mermaid(drawn))
        case Format.dot:
            typer.echo(as_dot(drawn))
        case Format.json:
            typer.echo(json.dumps(msgspec.to_builtins(drawn), indent=2))


def _check(found: Found, *, whole: bool) -> None:
    """Of modules that were named, voicestream's own topics may be written by others."""
    from voicestream import topics

    known = () if whole else {topic.name for topic in topics.ALL}
    wrong = [
        *found.shared_groups(),
        *problems(found.stages, partition_counts(found.stages, settings().partitions)),
        *unknown_topics(found.stages, known),
        *codec().problems(all_topics(found.stages)),
    ]
    for problem in wrong:
        typer.echo(f"error: {problem}", err=True)
    if wrong:
        raise typer.Exit(1)
    drawn = graph(found.stages)
    typer.echo(f"{len(drawn.stages)} stages, {len(drawn.topics)} topics and {len(drawn.stores)} stores fit together")
