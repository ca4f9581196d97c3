"""``voicestream up``: everything on this machine, until interrupted."""

import time

import typer

from voicestream.cli.progress import pull_configured
from voicestream.cli.signals import stop_on_signals
from voicestream.embedded.stack import Stack, run_folder
from voicestream.settings import settings


def up() -> None:
    """Start broker, ClickHouse, gateway, dashboard and every stage on this machine, until Ctrl-C or SIGTERM.

    What the settings give as an address (VOICESTREAM_BROKER, VOICESTREAM_CLICKHOUSE) is used and not started.
    """
    stop_on_signals()
    pull_configured()
    folder = run_folder()
    stack = Stack(settings(), folder, lambda name, where, took: typer.echo(f"{took:6.1f} s  {name:<10}  {where}"))
    try:
        with stack:
            typer.echo(f"\nThe dashboard: {stack.gateway_url}/   logs: {folder}")
            typer.echo(
                f"In another terminal: voicestream call FILE.wav --url {stack.gateway_url.replace('http', 'ws', 1)}"
            )
            typer.echo(
                f"Ask ClickHouse:      VOICESTREAM_CLICKHOUSE={stack.settings.clickhouse} voicestream sql 'QUERY'"
            )
            typer.echo(
                f"An agent of yours:   VOICESTREAM_BROKER={stack.settings.broker} faust -A agents.NAME worker -l info"
            )
            typer.echo("Ctrl-C stops it all.")
            while True:
                stack.check()
                time.sleep(0.5)
    except KeyboardInterrupt:
        typer.echo("stopped")
