"""The stages and the Faust apps of Python modules."""

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import agents
from voicestream.errors import SettingsError
from voicestream.streams.runtime.worker import StagesApp
from voicestream.streams.stage import Stage


@dataclass(frozen=True)
class Found:
    """Stages, and apps by the name of their module."""

    stages: list[Stage]
    apps: list[tuple[str, StagesApp]]

    def shared_groups(self) -> Iterator[str]:
        """Apps of different stages that would be one consumer group."""
        for (module, app), (other_module, other) in combinations(self.apps, 2):
            mine, others = _names(app.stages.stages), _names(other.stages.stages)
            if app.conf.id == other.conf.id and mine != others:
                yield (
                    f"the app of {module} ({mine}) and the app of {other_module} ({others}) are one "
                    f"consumer group, {app.conf.id}: each would get only a part of what it reads. Give one of them "
                    "another name: app(…, name=)"
                )


def all_modules() -> list[str]:
    """``agents.all``, and what is in a folder ``agents`` of the working directory beside what voicestream has."""
    _look_here()
    ours, here = Path(agents.__file__).parent, Path("agents").absolute()
    own = [] if here.resolve() == ours.resolve() else [m.name for m in pkgutil.iter_modules([str(here)])]
    return ["agents.all", *(f"agents.{name}" for name in own)]


def find(modules: Iterable[str]) -> Found:
    """The stages and apps in ``modules``; raises ``SettingsError`` for a module that is not there or has none."""
    _look_here()
    stages: dict[int, Stage] = {}
    apps: dict[int, tuple[str, StagesApp]] = {}
    for name in modules:
        module = _import(name)
        values = [item for value in vars(module).values() for item in _items(value)]
        mine = [value for value in values if isinstance(value, Stage)]
        of_apps = [value for value in values if isinstance(value, StagesApp)]
        mine += [stage for app in of_apps for stage in app.stages.stages]
        if not mine:
            raise SettingsError(f"module {name} has no stage: name a module that has a Stage, such as agents.stt")
        stages |= {id(stage): stage for stage in mine}
        apps |= {id(app): (name, app) for app in of_apps}
    return Found(list(stages.values()), list(apps.values()))


def _look_here() -> None:
    """Find modules of the working directory, as `faust -A` does; a folder ``agents`` in it belongs to ours."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    agents.__path__ = pkgutil.extend_path(agents.__path__, agents.__name__)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise SettingsError(
            f"there is no module {name}: it is looked for in {Path.cwd()} and in the packages"
        ) from error


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, tuple | list) else (value,)


def _names(stages: Iterable[Stage]) -> str:
    return ", ".join(sorted(stage.name for stage in stages))
