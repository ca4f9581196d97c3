"""YAML files that people write, read so that every error can name its line."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from voicestream.errors import ConfigFileError

Path_ = tuple[str | int, ...]
T = TypeVar("T")


class YamlFile:
    """The data of a YAML file and the line that each part of it stands on.

    Raises:
        ConfigFileError: the file is missing, is no YAML, or repeats a key.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._lines: dict[Path_, int] = {(): 1}
        try:
            node = yaml.compose(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
            self.data: Any = None if node is None else self._build(node, ())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigFileError([f"{name}:{line}: no valid YAML: {error.problem}; check the indentation"]) from None
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigFileError([f"{name}:1: no valid YAML: {error}"]) from None

    @classmethod
    def read(cls, path: Path, name: str | None = None) -> "YamlFile":
        """Read ``path``; ``name`` is what messages call it."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigFileError([f"{path}: cannot be read: {error}; give a YAML file in UTF-8"]) from None
        return cls(text, name or str(path))

    def _build(self, node: yaml.Node, path: Path_) -> Any:
        self._lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            result: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.value)
                line = key_node.start_mark.line + 1
                if key in result:
                    raise ConfigFileError([f"{self.name}:{line}: '{key}' is there twice; keep one of them"])
                result[key] = self._build(value_node, (*path, key))
                self._lines[(*path, key)] = line
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, index)) for index, item in enumerate(node.value)]
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node)
        finally:
            loader.dispose()

    def line(self, path: Sequence[str | int]) -> int:
        """Line of ``path``, or of the nearest part above it that the file has."""
        known = tuple(path)
        while known not in self._lines:
            known = known[:-1]
        return self._lines[known]

    def problem(self, path: Sequence[str | int], message: str) -> str:
        """``message`` with the file and the line of ``path`` before it."""
        return f"{self.name}:{self.line(path)}: {message}"

    def check(self, shape: type[T], data: Any, path: Path_ = (), about: str = "") -> T:
        """``data``, found at ``path``, as a ``shape``; messages begin with ``about``.

        Raises:
            ConfigFileError: with a line for each thing that is wrong.
        """
        try:
            return TypeAdapter(shape).validate_python(data)
        except ValidationError as error:
            problems = []
            for detail in error.errors():
                location = tuple(detail["loc"])
                field = ".".join(str(part) for part in location)
                if detail["type"] == "extra_forbidden":
                    message = unknown(str(location[-1]), _fields(shape))
                elif detail["type"] == "missing":
                    message = f"'{field}' is missing; add it"
                else:
                    reason = detail["msg"].removeprefix("Value error, ")
                    message = f"'{field}': {reason}" if field else reason
                    if not isinstance(detail["input"], dict | list):
                        message += f"; it is {detail['input']!r}"
                problems.append(self.problem((*path, *location), about + message))
            raise ConfigFileError(problems) from None


def unknown(word: str, known: Iterable[str]) -> str:
    """Message on a word that nobody knows, with the nearest known one or all of them."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"'{word}' is unknown; did you mean '{close[0]}'?"
    return f"'{word}' is unknown; known are {', '.join(choices)}"


def _fields(shape: Any) -> list[str]:
    return list(getattr(shape, "model_fields", {}))
