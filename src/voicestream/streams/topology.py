"""The graph of stages, topics and stores, as plain data: what ``voicestream topology --format json`` prints.

The fields of these classes are a contract: what is added keeps ``version``, what is changed or taken away raises it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec

from voicestream.streams.record import Record
from voicestream.streams.runner import changelog_topic
from voicestream.streams.stage import Agent, Punctuator, Stage
from voicestream.streams.state import Store
from voicestream.streams.topic import Topic

Kind = Literal["topic", "external", "repartition"]


class AgentNode(msgspec.Struct, kw_only=True):
    """An agent: its topics with the record types that it takes and sends, its stores, its operators."""

    name: str
    inputs: dict[str, list[str]]
    outputs: dict[str, list[str]]
    stores: list[str]
    operators: list[str]
    """One line each, in the order in which a record meets them; none where the agent is a function or a processor."""


class PunctuatorNode(msgspec.Struct, kw_only=True):
    """A function that is called for every key of a store, every ``every_ms`` of wall-clock time."""

    name: str
    every_ms: int
    store: str
    outputs: list[str]


class StageNode(msgspec.Struct, kw_only=True):
    """A stage, which is one consumer group if it has a worker of its own."""

    name: str
    agents: list[AgentNode]
    punctuators: list[PunctuatorNode]


class TopicNode(msgspec.Struct, kw_only=True):
    """A topic: ``external`` where something else than a stage writes it, ``repartition`` where one stage writes it to
    itself.

    ``partitions`` of ``None`` is the number that the settings give. ``feedback``: a cycle through it is meant.
    """

    name: str
    kind: Kind
    records: list[str]
    partitions: int | None
    feedback: bool
    written_by: list[str]
    read_by: list[str]


class StoreNode(msgspec.Struct, kw_only=True):
    """A store, the topic of its changes, and who opens it."""

    name: str
    stage: str
    changelog: str
    used_by: list[str]


class Graph(msgspec.Struct, kw_only=True):
    """Everything that some stages are made of, topics and stores by name."""

    version: int = 1
    stages: list[StageNode]
    topics: list[TopicNode]
    stores: list[StoreNode]


def graph(stages: Iterable[Stage]) -> Graph:
    """The graph of ``stages``."""
    stages = list(stages)
    return Graph(
        stages=[_stage(stage) for stage in stages],
        topics=[_topic(topic, stages) for topic in all_topics(stages)],
        stores=sorted((_store(store, stage) for stage in stages for store in stage.stores.values()), key=_by_name),
    )


def all_topics(stages: Iterable[Stage]) -> list[Topic[Any]]:
    """Every topic that a stage reads or writes, by name; changelogs are not among them."""
    found = {topic.name: topic for stage in stages for topic in (*_read(stage), *_written(stage))}
    return [found[name] for name in sorted(found)]


def all_changelogs(stages: Iterable[Stage]) -> list[str]:
    """The changelog topic of every store."""
    return [changelog_topic(store) for stage in stages for store in stage.stores.values()]


def parts(stage: Stage) -> list[Agent | Punctuator]:
    """The agents and the punctuators of a stage."""
    return [*stage.agents, *stage.punctuators]


def stores_of(agent: Agent) -> tuple[Store[Any], ...]:
    """Every store that an agent opens."""
    many: tuple[Store[Any], ...] = getattr(agent, "stores", ())
    return many or ((agent.store,) if agent.store is not None else ())


def taken(agent: Agent, topic: Topic[Any]) -> list[type[Record]]:
    """The record types of ``topic`` that an agent takes."""
    return [kind for kind in topic.types if kind in agent.accepts]


def sent(agent: Agent, topic: Topic[Any]) -> list[type[Record]]:
    """The record types of ``topic`` that an agent may send."""
    return [kind for kind in topic.types if agent.sends is None or kind in agent.sends]


def copartitioned(stage: Stage) -> Iterator[tuple[str, list[tuple[Agent, Topic[Any]]]]]:
    """What keeps state by key, and the inputs of it: they need one number of partitions, so that a key is one worker's.

    A global table is not among them: every worker has all of it.
    """
    for store in stage.stores.values():
        yield (
            f"store {store.name}",
            [(agent, t) for agent in stage.agents if store in stores_of(agent) for t in agent.inputs],
        )
    for agent in stage.agents:
        if agent.processor is not None:
            yield f"processor {agent.name}", [(agent, topic) for topic in agent.inputs]


def partition_counts(stages: Iterable[Stage], default: int) -> dict[str, int]:
    """The number of partitions of every topic and changelog, ``default`` where nothing says otherwise.

    A topic that a stage writes for itself, and a changelog, follow the topics that they are used with.
    """
    stages = list(stages)
    counts = {topic.name: topic.partitions or default for topic in all_topics(stages)}
    for stage in stages:
        written = {topic.name for topic in _written(stage)}
        for _, inputs in copartitioned(stage):
            given = [topic for _, topic in inputs if topic.partitions is not None or topic.name not in written]
            if given:
                counts |= {topic.name: counts[given[0].name] for _, topic in inputs if topic not in given}
        for store in stage.stores.values():
            read = (topic.name for agent in stage.agents if store in stores_of(agent) for topic in agent.inputs)
            counts[changelog_topic(store)] = max((counts[name] for name in read), default=default)
    return counts


def _read(stage: Stage) -> Iterator[Topic[Any]]:
    return (topic for agent in stage.agents for topic in agent.inputs)


def _written(stage: Stage) -> Iterator[Topic[Any]]:
    return (topic for part in parts(stage) for topic in part.outputs)


def _stage(stage: Stage) -> StageNode:
    return StageNode(
        name=stage.name,
        agents=[
            AgentNode(
                name=agent.name,
                inputs={topic.name: [kind.__name__ for kind in taken(agent, topic)] for topic in agent.inputs},
                outputs={topic.name: [kind.__name__ for kind in sent(agent, topic)] for topic in agent.outputs},
                stores=[store.name for store in stores_of(agent)],
                operators=_operators(agent),
            )
            for agent in stage.agents
        ],
        punctuators=[
            PunctuatorNode(
                name=punctuator.name,
                every_ms=punctuator.every_ms,
                store=punctuator.store.name,
                outputs=[topic.name for topic in punctuator.outputs],
            )
            for punctuator in stage.punctuators
        ],
    )


def _operators(agent: Agent) -> list[str]:
    describe: Callable[[], list[str]] | None = getattr(getattr(agent, "pipeline", None), "describe", None)
    return describe() if describe is not None else []


def _topic(topic: Topic[Any], stages: list[Stage]) -> TopicNode:
    written_by = [stage.name for stage in stages if topic.name in {t.name for t in _written(stage)}]
    read_by = [stage.name for stage in stages if topic.name in {t.name for t in _read(stage)}]
    kind: Kind = "topic"
    if topic.external:
        kind = "external"
    elif len(written_by) == 1 and written_by == read_by:
        kind = "repartition"
    return TopicNode(
        name=topic.name,
        kind=kind,
        records=[record.__name__ for record in topic.types],
        partitions=topic.partitions,
        feedback=topic.feedback,
        written_by=written_by,
        read_by=read_by,
    )


def _store(store: Store[Any], stage: Stage) -> StoreNode:
    used_by = [agent.name for agent in stage.agents if store in stores_of(agent)]
    used_by += [punctuator.name for punctuator in stage.punctuators if punctuator.store is store]
    return StoreNode(name=store.name, stage=stage.name, changelog=changelog_topic(store), used_by=used_by)


def _by_name(node: StoreNode) -> str:
    return node.name
