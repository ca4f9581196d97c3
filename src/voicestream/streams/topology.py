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
