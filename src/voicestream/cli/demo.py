"""``voicestream demo``: everything at work, on calls whose truth is known or on your own audio."""

from pathlib import Path
from typing import Annotated

import typer

from voicestream.cli.progress import pull_configured
from voicestream.cli.signals import stop_on_signals
from voicestream.embedded.demo import calls_at_once, run_demo
from voicestream.embedded.scripts import catalogue, recorded_calls, scripted_calls
from voicestream.embedded.stack import run_folder
from voicestream.settings import settings

Number = Annotated[int | None, typer.Option(min=1, help="Calls at once.", show_default="what the cores can follow")]
Audio = Annotated[list[Path] | None, typer.Option(help="Files of your own instead of the scripted calls.")]
ReportFile = Annotated[Path | None, typer.Option(help="Write everything that was found to this file, as JSON.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the stack and the dashboard running until Ctrl-C.")]
More = Annotated[list[Path] | None, typer.Argument(help="More files behind --audio.", show_default=False)]


def demo(
    more: More = None,
    calls: Number = None,
    audio: Audio = None,
    report: ReportFile = None,
    keep: Keep = False,
) -> None:
    """Start broker, ClickHouse, gateway and every stage, play calls in real time, and show what became of them.

    A stereo file is one call with the agent left and the customer right; a mono file is a call of one track.
    """
    stop_on_signals()
    files = [*(audio or []), *(more or [])]
    if more and not audio:
        raise typer.BadParameter("to play files of your own, write --audio before them")
    if calls and files:
        raise typer.BadParameter("--calls is for the scripted calls: every file of --audio is one call")
    planned = recorded_calls(files) if files else scripted_calls(calls or calls_at_once())
    if report is not None:
        try:
            report.touch()  # it should fail now rather than behind all the work
        except OSError as error:
            raise typer.BadParameter(f"cannot write {report}: {error.strerror}", param_hint="--report") from error
    pull_configured()
    config = settings()
    if not files and config.catalogue is None:
        config = config.model_copy(update={"catalogue": catalogue()})
    run_demo(config, run_folder(), planned, report, keep)
