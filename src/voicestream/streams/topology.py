"""The graph of stages and topics."""

from collections.abc import Iterable
from typing import Any

from voicestream.streams.runner import changelog_topic
from voicestream.streams.stage import Stage
from voicestream.streams.topic import Topic


def all_topics(stages: Iterable[Stage]) -> list[Topic[Any]]:
    """Every topic that a stage reads or writes, by name; changelogs are not among them."""
    found: dict[str, Topic[Any]] = {}
    for stage in stages:
        for agent in stage.agents:
            found |= {topic.name: topic for topic in (*agent.inputs, *agent.outputs)}
        for punctuator in stage.punctuators:
            found |= {topic.name: topic for topic in punctuator.outputs}
    return [found[name] for name in sorted(found)]


def all_changelogs(stages: Iterable[Stage]) -> list[str]:
    """The changelog topic of every store."""
    return [changelog_topic(store) for stage in stages for store in stage.stores.values()]


def describe(stages: Iterable[Stage]) -> dict[str, Any]:
    """Stages with their agents and stores, and topics with their record types, as plain data."""
    stages = list(stages)
    return {
        "stages": [
            {
                "name": stage.name,
                "agents": [
                    {
                        "name": agent.name,
                        "inputs": [topic.name for topic in agent.inputs],
                        "records": [record.__name__ for record in agent.accepts],
                        "outputs": [topic.name for topic in agent.outputs],
                        "store": agent.store.name if agent.store is not None else None,
                    }
                    for agent in stage.agents
                ],
                "punctuators": [
                    {
                        "name": punctuator.name,
                        "every_ms": punctuator.every_ms,
                        "store": punctuator.store.name,
                        "outputs": [topic.name for topic in punctuator.outputs],
                    }
                    for punctuator in stage.punctuators
                ],
            }
            for stage in stages
        ],
        "topics": {topic.name: [record.__name__ for record in topic.types] for topic in all_topics(stages)},
        "changelogs": all_changelogs(stages),
    }


def edges(stages: Iterable[Stage]) -> list[tuple[str, str]]:
    """Topic to stage and stage to topic, each once."""
    found: dict[tuple[str, str], None] = {}
    for stage in stages:
        for agent in stage.agents:
            found |= {(topic.name, stage.name): None for topic in agent.inputs}
            found |= {(stage.name, topic.name): None for topic in agent.outputs}
        for punctuator in stage.punctuators:
            found |= {(stage.name, topic.name): None for topic in punctuator.outputs}
    return list(found)


def as_text(stages: Iterable[Stage]) -> str:
    """A paragraph a stage: what each agent takes and sends."""
    lines = []
    for stage in describe(stages)["stages"]:
        lines.append(stage["name"])
        for agent in stage["agents"]:
            lines.append(f"  {agent['name']} takes {', '.join(agent['records'])}")
            lines.append(f"    from {', '.join(agent['inputs'])}")
            lines += [f"    to   {', '.join(agent['outputs'])}"] if agent["outputs"] else []
            lines += [f"    with {agent['store']}"] if agent["store"] else []
        for timer in stage["punctuators"]:
            to = f" to {', '.join(timer['outputs'])}" if timer["outputs"] else ""
            lines.append(f"  {timer['name']} every {timer['every_ms']} ms over {timer['store']}{to}")
    return "\n".join(lines)


def as_mermaid(stages: Iterable[Stage]) -> str:
    """A mermaid flow chart: stages are boxes, topics are rounded."""
    stages = list(stages)
    ids = {topic.name: f"t{number}" for number, topic in enumerate(all_topics(stages))}
    lines = ["flowchart LR"]
    lines += [f'  {ids[topic.name]}(["{topic.name}"])' for topic in all_topics(stages)]
    lines += [f'  {stage.name}["{stage.name}"]' for stage in stages]
    lines += [f"  {ids.get(start, start)} --> {ids.get(end, end)}" for start, end in edges(stages)]
    return "\n".join(lines)


def as_dot(stages: Iterable[Stage]) -> str:
    """A Graphviz graph."""
    stages = list(stages)
    lines = ["digraph topology {", "  rankdir=LR;"]
    lines += [f'  "{topic.name}" [shape=oval];' for topic in all_topics(stages)]
    lines += [f'  "{stage.name}" [shape=box];' for stage in stages]
    lines += [f'  "{start}" -> "{end}";' for start, end in edges(stages)]
    return "\n".join([*lines, "}"])
