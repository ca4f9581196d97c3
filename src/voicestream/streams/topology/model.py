"""The graph of stages, topics and stores, as plain data: what ``voicestream topology --format json`` prints.

The fields of these classes are a contract: what is added keeps ``version``, what is changed or taken away raises it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from voicestream.streams.record import Record
from voicestream.streams.runtime.runner import changelog_topic
from voicestream.streams.stage import Agent, Punctuator, Stage
from voicestream.streams.state.store import Store
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
    """A stage, which is one consumer group if it has a worker of its own; every worker of it has its global tables."""

    name: str
    agents: list[AgentNode]
    punctuators: list[PunctuatorNode]
    global_tables: list[str]
    """The topics of which they are copies."""


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
        topics=_topics(stages),
        stores=sorted((_store(store, stage) for stage in stages for store in stage.stores.values()), key=_by_name),
    )


def all_topics(stages: Iterable[Stage]) -> list[Topic[Any]]:
    """Every topic that a stage reads or writes, by name; changelogs are not among them."""
    found = {topic.name: topic for stage in stages for topic in (*read(stage), *written(stage))}
    return [found[name] for name in sorted(found)]


def all_changelogs(stages: Iterable[Stage]) -> list[str]:
    """The changelog topic of every store."""
    return [changelog_topic(store) for stage in stages for store in stage.stores.values()]


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
    piped = {store.name for agent in stage.agents if agent.pipeline is not None for store in agent.stores}
    for agent in stage.agents:
        if agent.pipeline is not None and agent.stores:
            yield ", ".join(store.name for store in agent.stores), [(agent, topic) for topic in agent.inputs]
        elif agent.processor is not None:
            yield agent.name, [(agent, topic) for topic in agent.inputs]
    for store in stage.stores.values():
        if store.name not in piped:
            yield store.name, [(agent, t) for agent in stage.agents if store in agent.stores for t in agent.inputs]


def partition_counts(stages: Iterable[Stage], default: int) -> dict[str, int]:
    """The number of partitions of every topic and changelog, ``default`` where nothing says otherwise.

    A topic that a stage writes for itself, and a changelog, follow the topics that they are used with.
    """
    stages = list(stages)
    counts = {topic.name: topic.partitions or default for topic in all_topics(stages)}
    for stage in stages:
        own = {topic.name for topic in written(stage)}
        for _, inputs in copartitioned(stage):
            given = [topic for _, topic in inputs if topic.partitions is not None or topic.name not in own]
            if given:
                counts |= {topic.name: counts[given[0].name] for _, topic in inputs if topic not in given}
        for store in stage.stores.values():
            sources = (topic.name for agent in stage.agents if store in agent.stores for topic in agent.inputs)
            counts[changelog_topic(store)] = max((counts[name] for name in sources), default=default)
    return counts


def read(stage: Stage) -> list[Topic[Any]]:
    """The topics that a stage reads, also those of which it has a copy."""
    return [*(t for agent in stage.agents for t in agent.inputs), *(table.topic for table in stage.global_tables)]


def written(stage: Stage) -> list[Topic[Any]]:
    """The topics that a stage writes; its changelogs are not among them."""
    return [topic for part in parts(stage) for topic in part.outputs]


def parts(stage: Stage) -> list[Agent | Punctuator]:
    """The agents and the punctuators of a stage."""
    return [*stage.agents, *stage.punctuators]


def _stage(stage: Stage) -> StageNode:
    return StageNode(
        name=stage.name,
        agents=[
            AgentNode(
                name=agent.name,
                inputs={topic.name: [kind.__name__ for kind in taken(agent, topic)] for topic in agent.inputs},
                outputs={topic.name: [kind.__name__ for kind in sent(agent, topic)] for topic in agent.outputs},
                stores=[store.name for store in agent.stores],
                operators=agent.pipeline.describe() if agent.pipeline is not None else [],
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
        global_tables=[table.topic.name for table in stage.global_tables],
    )


def _topics(stages: list[Stage]) -> list[TopicNode]:
    writers = [(stage.name, {topic.name for topic in written(stage)}) for stage in stages]
    readers = [(stage.name, {topic.name for topic in read(stage)}) for stage in stages]
    return [
        _topic(
            topic,
            [stage for stage, names in writers if topic.name in names],
            [stage for stage, names in readers if topic.name in names],
        )
        for topic in all_topics(stages)
    ]


def _topic(topic: Topic[Any], written_by: list[str], read_by: list[str]) -> TopicNode:
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
    used_by = [agent.name for agent in stage.agents if store in agent.stores]
    used_by += [punctuator.name for punctuator in stage.punctuators if punctuator.store is store]
    return StoreNode(name=store.name, stage=stage.name, changelog=changelog_topic(store), used_by=used_by)


def _by_name(node: StoreNode) -> str:
    return node.name
