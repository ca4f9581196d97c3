"""Whether stages fit together: found before anything starts, and said with both ends and what to do."""

from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from voicestream.streams.declarations import carrying
from voicestream.streams.errors import TopologyError
from voicestream.streams.record import Record
from voicestream.streams.runtime.runner import changelog_topic
from voicestream.streams.stage import Agent, Punctuator, Stage
from voicestream.streams.topic import Topic
from voicestream.streams.topology.model import copartitioned, parts, sent, taken

Counts = Mapping[str, int]

_Who = Agent | Punctuator | Stage  # a stage stands for its global tables
_End = tuple[_Who, str, Topic[Any]]  # who, reads or writes, what
_Value = tuple[str, type[Record]]  # what travels: a type of record on a topic
_Step = tuple[_Who, _Value]  # who sends what


def check(stages: Iterable[Stage], counts: Counts | None = None) -> None:
    """Raise ``TopologyError`` with everything that is wrong with stages that run side by side.

    ``counts`` are numbers of partitions by topic, where more is known of them than what the topics declare.
    """
    refuse(problems(stages, counts))


def refuse(found: Iterable[str]) -> None:
    """Raise ``TopologyError`` where there is a problem; its message has all of them, a line each."""
    message = "\n".join(found)
    if message:
        raise TopologyError(message)


def problems(stages: Iterable[Stage], counts: Counts | None = None) -> Iterator[str]:
    """What is wrong with stages that run side by side: which ends do not fit, and what to do."""
    stages = list({id(stage): stage for stage in stages}.values())
    yield from _stage_names(stages)
    yield from _changelogs(stages)
    yield from _shared_stores(stages)
    yield from _declarations(stages)
    yield from _partitions(stages, counts or {})
    yield from _cycles(stages)


def unknown_topics(
    stages: Iterable[Stage], known: Container[str] = (), *, where: str = "no stage writes"
) -> Iterator[str]:
    """Inputs that none of the stages writes, that are not declared as external, and that are not ``known``.

    ``where`` says where they were looked for.
    """
    ends = list(_ends(stages))
    there = {topic.name for _, verb, topic in ends if verb == "writes" or topic.external}
    for who, verb, topic in ends:
        if verb == "reads" and topic.name not in there and topic.name not in known:
            yield (
                f"{_name(who)} reads topic {topic.name}, which {where}. Correct the name, add or start the stage that "
                "writes it, or, if something else does, declare it as Topic(…, external=True)"
            )


def _stage_names(stages: Sequence[Stage]) -> Iterator[str]:
    for one, other in combinations(stages, 2):
        if one.name == other.name:
            yield (
                f"two stages are named {one.name}: {_contents(one)}, and {_contents(other)}. Their workers would be "
                "one consumer group, and each would get only a part of what it reads. Rename one of them"
            )


def _changelogs(stages: Sequence[Stage]) -> Iterator[str]:
    stores = [(changelog_topic(store), name, stage) for stage in stages for name, store in stage.stores.items()]
    for (one, one_name, one_stage), (other, other_name, other_stage) in combinations(stores, 2):
        if one == other:
            yield (
                f"store {one_name} of stage {one_stage.name} and store {other_name} of stage {other_stage.name} would "
                f"both write the topic {one}. Rename one of them"
            )
    owners = {changelog: (name, stage) for changelog, name, stage in stores}
    for who, verb, topic in _ends(stages):
        if topic.name in owners:
            name, stage = owners[topic.name]
            yield (
                f"{_name(who)} {verb} topic {topic.name}, which is the changelog of store {name} of stage "
                f"{stage.name}. Rename the topic or the store"
            )


def _shared_stores(stages: Sequence[Stage]) -> Iterator[str]:
    for stage in stages:
        owners = [(store, agent) for agent in stage.agents for store in agent.stores]
        for (one, first), (other, second) in combinations(owners, 2):
            if one is other and (first.pipeline is not None or second.pipeline is not None):
                yield (
                    f"{_name(first)} and {_name(second)} both write the store {one.name}, and the offsets and event "
                    "time that operators keep in it would be mixed up. Give each a store of its own, or merge the "
                    "streams before process"
                )


def _declarations(stages: Sequence[Stage]) -> Iterator[str]:
    first: dict[str, _End] = {}
    for end in _ends(stages):
        _, _, topic = end
        known = first.setdefault(topic.name, end)
        if _declared(topic) != _declared(known[2]):
            first[topic.name] = end  # the next one is compared with this: each difference is said once
            yield (
                f"topic {topic.name} is declared in two ways: {_said(known)}, {_said(end)}. Declare it once, in a "
                "module that both import"
            )


def _declared(topic: Topic[Any]) -> object:
    return {kind.__name__ for kind in topic.types}, topic.partitions


def _said(end: _End) -> str:
    who, verb, topic = end
    partitions = f", {topic.partitions} partitions" if topic.partitions is not None else ""
    return f"{_name(who)} {verb} it as {carrying(topic)}{partitions}"


def _partitions(stages: Sequence[Stage], counts: Counts) -> Iterator[str]:
    for stage in stages:
        for keeper, inputs in copartitioned(stage):
            known = [(agent, topic.name, counts.get(topic.name, topic.partitions)) for agent, topic in inputs]
            known = [(agent, name, count) for agent, name, count in known if count is not None]
            for other_agent, other, other_count in known[1:]:
                agent, name, count = known[0]
                if count != other_count:
                    reads = "" if other_agent.name == agent.name else f", {_name(other_agent)} reads"
                    yield (
                        f"{_name(agent)} reads topic {name} with {count} partitions{reads or ' and'} topic {other} "
                        f"with {other_count}; they meet by key in {keeper}, so a key would be with two workers. Give "
                        "both topics one number of partitions, or send one of them on to a topic that has that of the "
                        "other"
                    )


def _cycles(stages: Sequence[Stage]) -> Iterator[str]:
    feedback = {topic.name for _, _, topic in _ends(stages) if topic.feedback}
    steps: dict[_Value, list[_Step]] = defaultdict(list)
    for stage in stages:
        for agent in stage.agents:
            for value in _values(agent.inputs, partial(taken, agent)):
                steps[value] += [s for s in _onward(agent, stage) if not {value[0], s[1][0]} & feedback]
    told: set[str] = set()
    for start in list(steps):
        path = _way_back(start, steps)
        topics = {name for _, (name, _) in path}
        if topics and not topics & told:
            told |= topics
            way = "".join(f" → {_name(who)} → {name}" for who, (name, _) in path)
            yield (
                f"a cycle: {start[0]}{way}. A record could go round for ever. Take one of these steps away, or, if "
                "what comes round ends by itself, declare a topic on the way as Topic(…, feedback=True)"
            )


def _onward(agent: Agent, stage: Stage) -> Iterator[_Step]:
    """What an agent sends, itself or by a punctuator of its store."""
    yield from ((agent, value) for value in _values(agent.outputs, partial(sent, agent)))
    for punctuator in stage.punctuators:
        if punctuator.store in agent.stores:
            yield from ((punctuator, value) for value in _values(punctuator.outputs, lambda topic: topic.types))


def _values(topics: Iterable[Topic[Any]], kinds: Callable[[Topic[Any]], Iterable[type[Record]]]) -> Iterator[_Value]:
    return ((topic.name, kind) for topic in topics for kind in kinds(topic))


def _way_back(start: _Value, steps: Mapping[_Value, Sequence[_Step]]) -> list[_Step]:
    """The shortest way from a value to itself; empty where there is none."""
    waiting: deque[tuple[_Value, list[_Step]]] = deque([(start, [])])
    seen = set()
    while waiting:
        value, way = waiting.popleft()
        for step in steps.get(value, ()):
            if step[1] == start:
                return [*way, step]
            if step[1] not in seen:
                seen.add(step[1])
                waiting.append((step[1], [*way, step]))
    return []


def _ends(stages: Iterable[Stage]) -> Iterator[_End]:
    for stage in stages:
        for agent in stage.agents:
            yield from ((agent, "reads", topic) for topic in agent.inputs)
        yield from ((stage, "reads", table.topic) for table in stage.global_tables)
        for part in parts(stage):
            yield from ((part, "writes", topic) for topic in part.outputs)


def _name(who: _Who) -> str:
    if isinstance(who, Stage):
        return f"stage {who.name}, a global table"
    if isinstance(who, Punctuator):
        return f"stage {who.stage}, punctuator {who.name}"
    return f"stage {who.stage}, {'agent' if who.pipeline is None else 'stream of'} {who.name}"


def _contents(stage: Stage) -> str:
    agents = ", ".join(agent.name for agent in stage.agents)
    modules = {getattr(agent.call or agent.processor, "__module__", None) for agent in stage.agents} - {None}
    return (
        f"that of {', '.join(sorted(map(str, modules)))} with {agents}"
        if modules
        else f"that with {agents or 'no agent'}"
    )
