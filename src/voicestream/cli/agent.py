"""``voicestream agent new``: a working agent with its schema and its test."""

import re
from importlib.resources import files
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Annotated

import typer

import agents
from voicestream.errors import SettingsError

app = typer.Typer(no_args_is_help=True, add_completion=False)

_FILES = {
    "agents/{name}.py": "agent.py.txt",
    "schemas/{name}.avsc": "schema.avsc.txt",
    "tests/test_{name}.py": "test.py.txt",
}
_WINDOWED = {path: f"windowed_{template}" for path, template in _FILES.items()}


@app.callback()
def group() -> None:
    """Write agents."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the agent and of its stage, such as asked_questions.")],
    folder: Annotated[Path, typer.Option(help="Where agents/, schemas/ and tests/ are.")] = Path(),
    windowed: Annotated[bool, typer.Option("--windowed", help="One that counts by windows of event time.")] = False,
) -> None:
    """Write agents/NAME.py, schemas/NAME.avsc and tests/test_NAME.py, to be changed into what you need."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SettingsError(f"an agent cannot be called {name!r}: use small letters, digits and _, a letter first")
    if iskeyword(name):
        raise SettingsError(f"an agent cannot be called {name!r}: Python has that word for itself")
    wanted = {
        folder / path.format(name=name): template for path, template in (_WINDOWED if windowed else _FILES).items()
    }
    taken = [str(path) for path in wanted if path.exists()]
    if taken:
        raise SettingsError(f"{', '.join(taken)} exists already: choose another name, or remove it")
    if (Path(agents.__file__).parent / f"{name}.py").exists():  # it would be found before the new one
        raise SettingsError(f"an agent cannot be called {name!r}: one of voicestream is; choose another name")
    record = "".join(part.capitalize() for part in name.split("_"))
    values = {"name": name, "record": record, "topic": f"voice.{name.replace('_', '-')}"}
    templates = files("voicestream.cli") / "templates"
    for path, template in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template((templates / template).read_text()).substitute(values))
        typer.echo(f"wrote {path}")
    typer.echo(f"try it: python -m pytest {folder / 'tests' / f'test_{name}.py'}")
    typer.echo(f"run it: faust -A agents.{name} worker -l info")
