"""The graph of stages as text, for mermaid and for Graphviz."""

from collections.abc import Iterator, Sequence

from voicestream.streams.durations import format_duration
from voicestream.streams.topology.model import AgentNode, Graph, PunctuatorNode, StoreNode, TopicNode

_MERMAID = {"topic": '(["{}"])', "external": '[/"{}"/]', "repartition": '{{{{"{}"}}}}'}
_DOT = {"topic": "shape=oval", "external": "shape=parallelogram", "repartition": "shape=hexagon"}


def as_text(graph: Graph) -> str:
    """A paragraph for each stage, then the topics with who writes and reads them, then the stores."""
    lines = []
    for stage in graph.stages:
        lines.append(f"stage {stage.name}")
        for agent in stage.agents:
            lines += [f"  {'stream of ' if agent.operators else ''}{agent.name}", *_agent(agent)]
        for punctuator in stage.punctuators:
            lines += [f"  {punctuator.name}, every {format_duration(punctuator.every_ms)}", *_punctuator(punctuator)]
        lines += [f"  global table of {topic}" for topic in stage.global_tables]
        lines.append("")
    width = max((len(topic.name) for topic in graph.topics), default=0)
    lines += ["topics", *(f"  {topic.name:{width}}  {_way(topic)}" for topic in graph.topics)]
    if graph.stores:
        width = max(len(store.name) for store in graph.stores)
        lines += ["", "stores", *(f"  {store.name:{width}}  {_use(store)}" for store in graph.stores)]
    return "\n".join(lines)


def _agent(agent: AgentNode) -> Iterator[str]:
    yield from _listed("from", [f"{topic}: {', '.join(records)}" for topic, records in agent.inputs.items()])
    yield from _listed("does", agent.operators)
    yield from _listed("with", agent.stores)
    yield from _listed("to", [f"{topic}: {', '.join(records)}" for topic, records in agent.outputs.items()])


def _punctuator(punctuator: PunctuatorNode) -> Iterator[str]:
    yield from _listed("with", [punctuator.store])
    yield from _listed("to", punctuator.outputs)


def _listed(word: str, items: Sequence[str]) -> Iterator[str]:
    return (f"    {'' if number else word:4}  {item}" for number, item in enumerate(items))


def _way(topic: TopicNode) -> str:
    writers = [*(["outside"] if topic.kind == "external" else []), *topic.written_by]
    notes = [
        *(["repartition"] if topic.kind == "repartition" else []),
        *(["feedback"] if topic.feedback else []),
        *([f"{topic.partitions} partitions"] if topic.partitions is not None else []),
    ]
    way = f"{', '.join(writers) or 'nobody'} → {', '.join(topic.read_by) or 'nobody here'}"
    return f"{way} ({', '.join(notes)})" if notes else way


def _use(store: StoreNode) -> str:
    return f"{', '.join(store.used_by) or 'nobody'} of {store.stage}; changelog {store.changelog}"


def as_mermaid(graph: Graph) -> str:
    """A mermaid flow chart: stages are boxes, topics rounded, topics from outside slanted, repartition topics hexagons,
    stores cylinders; the way of feedback is dotted.
    """
    topics = {topic.name: f"topic{number}" for number, topic in enumerate(graph.topics)}
    stages = {stage.name: f"stage{number}" for number, stage in enumerate(graph.stages)}
    lines = ["flowchart LR"]
    lines += [f"  {topics[topic.name]}{_MERMAID[topic.kind].format(topic.name)}" for topic in graph.topics]
    lines += [f'  {stages[stage.name]}["{stage.name}"]' for stage in graph.stages]
    lines += [f'  store{number}[("{store.name}")]' for number, store in enumerate(graph.stores)]
    for topic in graph.topics:
        arrow = "-.->" if topic.feedback else "-->"
        lines += [f"  {stages[stage]} --> {topics[topic.name]}" for stage in topic.written_by]
        lines += [f"  {topics[topic.name]} {arrow} {stages[stage]}" for stage in topic.read_by]
    lines += [f"  {stages[store.stage]} --- store{number}" for number, store in enumerate(graph.stores)]
    return "\n".join(lines)


def as_dot(graph: Graph) -> str:
    """A Graphviz graph with the shapes of ``as_mermaid``; a topic and a stage may have one name."""
    lines = ["digraph topology {", "  rankdir=LR;"]
    lines += [f"  {_id('topic', t.name)} [label={_quoted(t.name)}, {_DOT[t.kind]}];" for t in graph.topics]
    lines += [f"  {_id('stage', s.name)} [label={_quoted(s.name)}, shape=box];" for s in graph.stages]
    lines += [f"  {_id('store', s.name)} [label={_quoted(s.name)}, shape=cylinder];" for s in graph.stores]
    for topic in graph.topics:
        style = " [style=dotted]" if topic.feedback else ""
        lines += [f"  {_id('stage', stage)} -> {_id('topic', topic.name)};" for stage in topic.written_by]
        lines += [f"  {_id('topic', topic.name)} -> {_id('stage', stage)}{style};" for stage in topic.read_by]
    lines += [f"  {_id('stage', s.stage)} -> {_id('store', s.name)} [dir=none];" for s in graph.stores]
    return "\n".join([*lines, "}"])


def _id(kind: str, name: str) -> str:
    return _quoted(f"{kind} {name}")


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
