"""Progress of a download on the terminal."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from voicestream import weights
from voicestream.settings import settings
from voicestream.stt.engine import engine_name


def pull_with_progress(name: str) -> Path:
    """``weights.pull``, with a bar on standard error where that is a terminal, and a line where it is not."""
    if found := weights.cached(name):
        return found
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"downloading the model {name}")
        return weights.pull(name)
    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console) as progress:
        task = progress.add_task(f"model {name}", total=None)

        def show(doing: str, done: int, total: int) -> None:
            progress.update(task, description=doing, completed=done, total=total or None)

        return weights.pull(name, show)


def pull_configured() -> None:
    """Pull the model of the settings, unless it is a file, or that of a plug-in."""
    config = settings()
    name = weights.form(config.stt_model, engine_name(config.stt_engine, config.stt_model))
    if weights.known(name):
        pull_with_progress(name)
