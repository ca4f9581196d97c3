"""Writes ``docs/reference.md`` from the signatures and docstrings of what is public: ``make docs``."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"

HEAD = """\
# Reference

Written by `make docs` from the docstrings of the code: change those, not this page. [Writing an agent](agents.md)
explains what is listed here.
"""

# Section → where to import from → names; a name can be followed by the members that are meant for you.
SECTIONS: dict[str, dict[str, list[str]]] = {
    "Stages": {"voicestream": ["Stage"], "voicestream.stage": ["app"], "voicestream.streams.stage": ["Processor"]},
    "Topics and records": {
        "voicestream": ["Topic", "Record", "Keyed"],
        "voicestream.streams.message": ["Event", "Message"],
    },
    "Streams": {"voicestream": ["Stream"], "voicestream.streams.stream": ["JoinedStream: late"]},
    "Tables": {"voicestream": ["Table: store filter map to_stream to join left_join outer_join", "GlobalTable: get"]},
    "Windows": {
        "voicestream": ["tumbling", "hopping", "sliding", "session", "Windowed"],
        "voicestream.streams.windowed_stream": ["WindowedStream", "WindowedTable"],
    },
    "Aggregators": {
        "voicestream.streams.aggregators": [
            *("Count:", "Sum:", "Mean:", "Min:", "Max:", "Percentile:", "TopK:", "Distinct:", "Collect:", "Reduce:"),
            *("Fold:", "Several:", "Aggregator"),
        ]
    },
    "State": {"voicestream": ["State:", "Store: get", "Every:"]},
    "Policies": {"voicestream": ["Batch", "ErrorPolicy", "Retry:", "BatchError"]},
    "Middleware": {"voicestream.streams.middleware.base": ["Middleware", "Call"]},
    "Testing": {
        "voicestream.testing": ["TopologyTestDriver", "transcript"],
        "voicestream.streams.testing": ["DrivenTopic"],
    },
    "Topology": {
        "voicestream.streams.topology.checks": ["check", "problems", "unknown_topics"],
        "voicestream.streams.topology.model": [
            *("graph", "Graph", "StageNode", "AgentNode", "PunctuatorNode", "TopicNode", "StoreNode"),
        ],
        "voicestream.streams.topology.views": ["as_text", "as_mermaid", "as_dot"],
    },
    "Errors": {"voicestream.streams.errors": ["StreamsError", "TopologyError", "DecodeError", "EncodeError"]},
}
GIVEN = {
    "Call",
    "DrivenTopic",
    "GlobalTable",
    "JoinedStream",
    "State",
    "Store",
    "Stream",
    "Table",
    "WindowedStream",
} | {"WindowedTable"}
"""Classes that nobody makes: how they are made is not said."""

WIDTH = 110


def page() -> str:
    """The whole page."""
    lines = [HEAD, *_contents(), *(line for section in SECTIONS for line in _section(section))]
    return "\n".join(lines).rstrip() + "\n"


def _contents() -> Iterator[str]:
    for section, modules in SECTIONS.items():
        names = [wanted.partition(":")[0] for wanted_of in modules.values() for wanted in wanted_of]
        yield f"- [{section}](#{section.lower().replace(' ', '-')}): " + ", ".join(
            f"[{n}](#{n.lower()})" for n in names
        )
    yield ""


def _section(section: str) -> Iterator[str]:
    yield f"## {section}\n"
    for module, names in SECTIONS[section].items():
        for wanted in names:
            name, only, members = wanted.partition(":")
            item = _find(module, name)
            yield f"### {name}\n"
            yield from ["```python", f"from {module} import {name}\n", *_declaration(item), "```", ""]
            yield from _text(item)
            if isinstance(item, griffe.Class):
                yield from _members(item, members.split() if only else None)


@cache
def _package() -> griffe.Module:
    package = griffe.load("voicestream", search_paths=[ROOT / "src"], resolve_aliases=True)
    assert isinstance(package, griffe.Module)
    return package


def _find(module: str, name: str) -> griffe.Object:
    """The class or function that ``from module import name`` gives."""
    found = _package()[f"{module}.{name}".removeprefix("voicestream.")]
    if found.is_alias:
        found = found.final_target
    assert isinstance(found, griffe.Object)
    return found


def _members(item: griffe.Class, wanted: list[str] | None) -> Iterator[str]:
    """What a class and its bases have, each with a docstring of its own."""
    members = {**item.inherited_members, **item.members}
    for name in wanted if wanted is not None else members:
        member = members[name].final_target if members[name].is_alias else members[name]
        if name.startswith("_") or member.docstring is None or member.is_class:
            continue
        if member.is_attribute and "property" not in member.labels:
            continue  # it is in the declaration of the class
        yield f"#### {item.name}.{name}\n"
        yield from ["```python", *_declaration(member), "```", ""]
        yield from _text(member)


def _declaration(item: griffe.Object) -> Iterator[str]:
    if isinstance(item, griffe.Function):
        yield from (_wrapped(overload.signature()) for overload in item.overloads or [item])
    elif isinstance(item, griffe.Class):
        yield from _class(item)
    elif isinstance(item, griffe.Attribute):
        yield f"{item.name} = {item.value}" if item.annotation is None else f"{item.name}: {item.annotation}"


def _class(item: griffe.Class) -> Iterator[str]:
    init = {**item.inherited_members, **item.members}.get("__init__")
    if init is not None and item.name not in GIVEN and init.is_function:
        yield _wrapped(init.signature(name=item.name, return_type=False))
        return
    bases = ", ".join(str(base) for base in item.bases)
    if not bases and item.name not in GIVEN:
        yield f"{item.name}()"
        return
    data = "Struct" in bases or "NamedTuple" in bases
    fields = [
        field
        for field in item.attributes.values()
        if data and not field.name.startswith("_") and field.annotation is not None and "property" not in field.labels
    ]
    yield f"class {item.name}" + (f"({bases})" if bases else "") + (":" if fields else "")
    for field in fields:
        note = f"  # {_flat(field)}" if field.docstring is not None else ""
        value = f" = {field.value}" if field.value is not None else ""
        yield f"    {field.name}: {field.annotation}{value}{note}"


def _wrapped(signature: str) -> str:
    """A signature, one parameter a line where it is long."""
    head, _, rest = signature.partition("(")
    parameters, depth, start = [], 0, 0
    for at, letter in enumerate(rest if len(signature) > WIDTH else ""):
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0 or (letter == "," and depth == 0):
            parameters.append(rest[start:at].strip())
            start = at + 1
        if depth < 0:
            return "\n".join([f"{head}(", *(f"    {parameter}," for parameter in parameters), f"){rest[at + 1 :]}"])
    return signature


def _text(item: griffe.Object) -> Iterator[str]:
    if item.docstring is not None:
        yield re.sub(r"``(.+?)``", r"`\1`", item.docstring.value.strip(), flags=re.DOTALL)
        yield ""


def _flat(item: griffe.Object) -> str:
    return " ".join("\n".join(_text(item)).split()).replace("`", "")


if __name__ == "__main__":
    PAGE.write_text(page())
