"""``voicestream models``: model weights."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from voicestream import weights
from voicestream.cli.progress import pull_with_progress

app = typer.Typer(no_args_is_help=True, help="List and download model weights.")


@app.command("list")
def list_() -> None:
    """List the weights that can be pulled, and which are here."""
    table = Table(header_style="bold", pad_edge=False)
    for name in ("name", "what", "size", "languages", "licence", "here"):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    for model in weights.list_models():
        here = "yes" if weights.cached(model.name) else "no"
        size = f"{model.size / 1e6:.0f} MB"
        table.add_row(model.name, model.about, size, model.languages, model.licence, here)
    Console().print(table)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="A name of `voicestream models list`.")]) -> None:
    """Download weights into the cache (VOICESTREAM_CACHE), verified by hash; does nothing when they are there."""
    typer.echo(str(pull_with_progress(name)))
