"""``voicestream models``: model weights."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from voicestream import weights
from voicestream.cli.progress import pull_with_progress

app = typer.Typer(no_args_is_help=True, help="List, download and quantise model weights.")


@app.command("list")
def list_() -> None:
    """List the weights that can be pulled, and which are here, with the beginning of their SHA-256."""
    table = Table(header_style="bold", pad_edge=False)
    for name in ("name", "what", "size", "languages", "licence", "here", "SHA-256"):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    for model in weights.list_models():
        found = weights.verified(model.name)
        size = f"{model.size / 1e6:.0f} MB"
        table.add_row(
            model.name, model.about, size, model.languages, model.licence, "yes" if found else "no", (found or "")[:12]
        )
    Console().print(table)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="A name of `voicestream models list`.")]) -> None:
    """Download weights into the cache (VOICESTREAM_CACHE), verified by hash; does nothing when they are there."""
    typer.echo(str(pull_with_progress(name)))


@app.command()
def quantize(
    name: Annotated[str, typer.Argument(help="A model of whisper.cpp in float16, such as tiny.en.")],
    kind: Annotated[str, typer.Option("--type", help=f"One of {', '.join(weights.QUANTIZED)}.")] = "q8_0",
) -> None:
    """Make a model smaller: NAME-TYPE, to be given as VOICESTREAM_STT_MODEL, or its file to the native server."""
    if kind not in weights.QUANTIZED:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(weights.QUANTIZED)}", param_hint="--type")
    typer.echo(str(pull_with_progress(f"{name}-{kind}")))
