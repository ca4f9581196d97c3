"""The types of the values of a stream, as far as annotations tell: a store and a topic must know them."""

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voicestream.streams.errors import TopologyError

if TYPE_CHECKING:
    from voicestream.streams.stage import Stage

Kinds = tuple[Any, ...] | None
"""Any of these; ``None``: nobody said."""

_MANY = (list, Iterable, Sequence, Iterator)


def only_kind(stage: "Stage", kinds: Kinds, what: str) -> Any:
    """The one type of a stream's values, which a store must know."""
    if kinds is None:
        raise TopologyError(
            f"stage {stage.name}, {what}: the type of the values is not known, and a store must know it: annotate what "
            "the function before returns, or give map(..., type=Type)"
        )
    if len(kinds) != 1:
        names = " | ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        raise TopologyError(
            f"stage {stage.name}, {what}: the values are {names}, and a store keeps one type: narrow them "
            "with .of(Type)"
        )
    return kinds[0]


def related(known: Any, kind: type) -> bool:
    """Whether values of type ``known`` may be of ``kind``; of what is no class nobody can tell."""
    return not isinstance(known, type) or issubclass(known, kind) or issubclass(kind, known)


def returned(function: Callable[..., Any], kind: Any) -> Kinds:
    """The type that a function says it returns, as a tuple of one; ``None`` where it does not say."""
    if kind is None:
        try:
            kind = typing.get_type_hints(function).get("return")
        except (NameError, TypeError):
            return None
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            return None  # a store could not tell which of them it has
    return None if kind is None else (kind,)


def yielded(functions: Sequence[Callable[..., Any]], kind: Any) -> Kinds:
    """The types of the values that functions say they return: none, one, or a list of them."""
    if kind is not None:
        return (kind,)
    kinds: dict[Any, None] = {}
    for function in functions:
        try:
            said = typing.get_type_hints(function).get("return", Any)
        except (NameError, TypeError):
            return None
        for member in _members(said):
            inner = _members(typing.get_args(member)[0]) if typing.get_origin(member) in _MANY else (member,)
            kinds |= dict.fromkeys(inner)
    kinds.pop(type(None), None)
    return None if Any in kinds else tuple(kinds)


def _members(kind: Any) -> tuple[Any, ...]:
    """The types of a union; of another type, itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
