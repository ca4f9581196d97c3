"""The file of rules: read, checked, and every fault reported with its line."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from voicestream.errors import ConfigFileError
from voicestream.routing.conditions import CONDITIONS, All, AnyOf, Duration, Node, Not
from voicestream.yaml_file import YamlFile, unknown

_PARTS = ("all", "any", "not")


class Then(BaseModel):
    """What a rule decides."""

    model_config = ConfigDict(extra="forbid")

    action: str = Field(min_length=1)
    target: str | None = None
    priority: int = Field(3, ge=1, le=5)


class _RuleShape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    description: str = ""
    when: dict[str, Any]
    then: Then
    cooldown: Duration | None = None


@dataclass(frozen=True)
class Rule:
    """When ``when`` holds, do ``then``: once a call, or again after ``cooldown_ms`` on new evidence."""

    name: str
    description: str
    when: Node
    then: Then
    cooldown_ms: int | None


def load_rules(path: Path | None = None) -> tuple[Rule, ...]:
    """The rules of the file at ``path`` (default: the packaged ones), in the order of the file.

    Raises:
        ConfigFileError: with file, line, rule and remedy of everything that is wrong.
    """
    if path is not None:
        return read_rules(YamlFile.read(path))
    return read_rules(YamlFile.read(Path(str(resources.files(__package__))) / "rules.yaml", "rules.yaml"))


def read_rules(file: YamlFile) -> tuple[Rule, ...]:
    """The rules of ``file``; raises as `load_rules` does."""
    if not isinstance(file.data, dict) or not isinstance(file.data.get("rules"), list):
        raise ConfigFileError([file.problem((), "the file has no list of rules; begin it with 'rules:'")])
    problems = [file.problem((key,), unknown(str(key), ["rules"])) for key in file.data if key != "rules"]
    rules: dict[str, Rule] = {}
    for index, data in enumerate(file.data["rules"]):
        path = ("rules", index)
        if not isinstance(data, dict):
            problems.append(file.problem(path, f"rule {index + 1} is no mapping; begin it with '- name: ...'"))
            continue
        about = f"rule '{data.get('name', index + 1)}': "
        try:
            shape = file.check(_RuleShape, data, path, about)
            when = _condition(file, shape.when, (*path, "when"), about)
        except ConfigFileError as error:
            problems += error.problems
            continue
        if shape.name in rules:
            problems.append(file.problem((*path, "name"), f"{about}the name is taken already; give another"))
        rules[shape.name] = Rule(shape.name, shape.description, when, shape.then, shape.cooldown)
    if problems:
        raise ConfigFileError(problems)
    return tuple(rules.values())


def _condition(file: YamlFile, data: Any, path: tuple[str | int, ...], about: str) -> Node:
    """The condition that stands at ``path``; where a mapping has several, all of them must hold."""
    if not isinstance(data, dict) or not data:
        raise ConfigFileError([file.problem(path, f"{about}a condition is such as 'insight: {{kind: churn_risk}}'")])
    nodes: list[Node] = []
    problems: list[str] = []
    for name, value in data.items():
        try:
            nodes.append(_named(file, str(name), value, (*path, name), about))
        except ConfigFileError as error:
            problems += error.problems
    if problems:
        raise ConfigFileError(problems)
    return nodes[0] if len(nodes) == 1 else All(nodes)


def _named(file: YamlFile, name: str, value: Any, path: tuple[str | int, ...], about: str) -> Node:
    if name == "not":
        return Not(_condition(file, value, path, about))
    if name in ("all", "any"):
        if not isinstance(value, list) or not value:
            raise ConfigFileError([file.problem(path, f"{about}'{name}' has a list of conditions, each behind a '-'")])
        parts: list[Node] = []
        problems: list[str] = []
        for index, part in enumerate(value):
            try:
                parts.append(_condition(file, part, (*path, index), about))
            except ConfigFileError as error:
                problems += error.problems
        if problems:
            raise ConfigFileError(problems)
        return All(parts) if name == "all" else AnyOf(parts)
    if name not in CONDITIONS:
        raise ConfigFileError([file.problem(path, about + unknown(name, [*CONDITIONS, *_PARTS]))])
    return file.check(CONDITIONS[name], value, path, f"{about}{name}: ")
