"""What the annotations of a function say of an agent, checked against its topics when it is declared."""

import inspect
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from voicestream.streams.errors import TopologyError
from voicestream.streams.message import Keyed
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

RecordTypes = tuple[type[Record], ...]


def accepted(who: str, function: Callable[..., Any], inputs: Sequence[Topic[Any]]) -> RecordTypes:
    """The record types of ``inputs`` that the first parameter takes; all of them where it names none.

    Raises ``TopologyError`` for a type that no input carries, and for an input that carries none of the types.
    """
    carried = _carried(inputs)
    first = next(iter(inspect.signature(function).parameters), "")
    wanted = tuple(kind for kind in _named(_annotation(function, first)) if kind is not Record)
    for kind in wanted:
        if not any(issubclass(t, kind) for t in carried):
            raise TopologyError(
                f"{who} takes {kind.__name__}, which none of its topics carries: {', '.join(map(carrying, inputs))}"
            )
    taken = tuple(t for t in carried if issubclass(t, wanted)) if wanted else carried
    for topic in inputs:
        if not set(taken).intersection(topic.types):
            raise TopologyError(
                f"{who} takes nothing of its topic {carrying(topic)}, only {', '.join(t.__name__ for t in taken)}. "
                "Name one of its types in the annotation, or leave the topic out"
            )
    return taken


def returned(who: str, function: Callable[..., Any], outputs: Sequence[Topic[Any]]) -> RecordTypes:
    """The record types of ``outputs`` that the function may return; all of them where its annotation leaves that open.

    Raises ``TopologyError`` for a type that no output carries.
    """
    carried = _carried(outputs)
    annotation = _annotation(function, "return")
    named = tuple(_named(annotation))
    for kind in named:
        if not any(issubclass(kind, t) or issubclass(t, kind) for t in carried):
            known = ", ".join(map(carrying, outputs)) or "none"
            raise TopologyError(
                f"{who} returns {kind.__name__}, which none of its output topics carries: "
                f"{known}. Name a topic that does in out=, or return what they carry"
            )
    if not named or Keyed in _parts(annotation):
        return carried
    return tuple(t for t in carried if any(issubclass(kind, t) or issubclass(t, kind) for kind in named))


def carrying(topic: Topic[Any]) -> str:
    """A topic with the types that it carries, for a message."""
    return f"{topic.name} ({', '.join(t.__name__ for t in topic.types)})"


def _carried(topics: Sequence[Topic[Any]]) -> RecordTypes:
    return tuple(dict.fromkeys(t for topic in topics for t in topic.types))


def _annotation(function: Callable[..., Any], name: str) -> Any:
    return typing.get_type_hints(function).get(name, Any)


def _parts(annotation: Any) -> Iterator[Any]:
    """The types in a union, a list, a tuple, an iterator or any nesting of them."""
    members = typing.get_args(annotation)
    if not members:
        yield annotation
    for member in members:
        yield from _parts(member)


def _named(annotation: Any) -> Iterator[type[Record]]:
    return (part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, Record))
