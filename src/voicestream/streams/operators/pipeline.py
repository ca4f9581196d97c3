"""A connected graph of operators between topics: what Kafka Streams calls a sub-topology."""

from collections.abc import Iterable, Sequence
from typing import Any

from voicestream.streams.errors import TopologyError
from voicestream.streams.operators.calls import Batched, MapAsync
from voicestream.streams.operators.keyed import Process
from voicestream.streams.operators.node import FlatMap, Node, Port
from voicestream.streams.operators.sink import To
from voicestream.streams.operators.source import Source
from voicestream.streams.operators.windowed import Window
from voicestream.streams.policies import ErrorPolicy
from voicestream.streams.state.store import Store
from voicestream.streams.topic import Topic


class Pipeline:
    """The nodes that can be reached from some sources, in an order in which none comes before what feeds it."""

    def __init__(self, stage: str, sources: Sequence[Source], errors: ErrorPolicy) -> None:
        self.sources = tuple(sources)
        self.nodes = _ordered(sources)
        self.errors = errors
        names = sorted({source.topic.name for source in sources})
        self.name = "+".join(names)
        self.inputs: tuple[Topic[Any], ...] = tuple({s.topic.name: s.topic for s in sources}.values())
        sinks = [node for node in self.nodes if isinstance(node, To)]
        self.outputs: tuple[Topic[Any], ...] = tuple({sink.topic.name: sink.topic for sink in sinks}.values())
        self.stores: tuple[Store[Any], ...] = tuple(
            {node.store.name: node.store for node in reversed(self.nodes) if node.store is not None}.values()
        )
        """Downstream first: what is upstream is made again by a replay, and must then be refused below."""
        for sink in sinks:
            sink.one_source = sum(not source.timeless for source in sources) == 1
            sink.traced = sink.traced and self.asynchronous is None  # else copies leave in any order
        for node in _below([node for node in self.nodes if isinstance(node, Batched)]):
            if isinstance(node, To):
                node.traced = False  # a replay makes other lists
        self.exact = (
            len(self.stores) > 1
            or (bool(self.stores) and any(sink.traced for sink in sinks))
            or any(isinstance(node, Process) and node.by_stream for node in self.nodes)
        )
        """Whether it makes a difference which message let time bring a result forth: others tell copies by it."""
        self._check(stage)
        idle = [source.idle_ms for source in sources if source.idle_ms is not None and not source.timeless]
        for node in self.nodes:
            if isinstance(node, Window):
                node.idle_ms = max(idle, default=None)
        self.one_by_one = any(_meets_itself(source, self.nodes) for source in sources)
        """Whether a record comes to some state by two ways, so that no record may overtake another on its way."""
        stateful = [node for node in self.nodes if node.store is not None]
        spread = {
            id(node) for node in _below([n for flat in self.nodes if isinstance(flat, FlatMap) for n in flat.children])
        }
        for node in self.nodes:
            node.guards_state = (
                node.store is None and id(node) not in spread and not _passes_by(sources, node, stateful)
            )
            node.behind_ms = max(
                (p.behind_ms + (p.delay_ms if p.store is None else 0) for p in node.parents), default=0
            )

    @property
    def asynchronous(self) -> MapAsync | None:
        """The operator that keeps several messages under way, if there is one."""
        return next((node for node in self.nodes if isinstance(node, MapAsync)), None)

    @property
    def linger(self) -> tuple[int, int] | None:
        """The size and time of the first ``batch``, for which messages may wait."""
        batched = [node for node in self.nodes if isinstance(node, Batched)]
        if not batched:
            return None
        return max(node.max_size for node in batched), max(node.within_ms for node in batched)

    def describe(self) -> list[str]:
        """The operators, each with what follows it, for people; outputs of them that nobody takes are left out."""
        nodes = [node for node in self.nodes if node.children or not isinstance(node, Port)]
        numbers = {id(node): number for number, node in enumerate(nodes, 1)}
        lines = []
        for node in nodes:
            following = ", ".join(str(numbers[id(child)]) for child in node.children if id(child) in numbers)
            store = f" [{node.store.name}]" if node.store is not None else ""
            lines.append(f"{numbers[id(node)]} {node.label}{store}" + (f" → {following}" if following else ""))
        return lines

    def _check(self, stage: str) -> None:
        waits = self.asynchronous
        if waits is not None and self.stores:
            raise TopologyError(
                f"stage {stage}, stream of {self.name}: map_async keeps several messages under way, and "
                f"{self.stores[0].name} wants them one after the other: put a topic between them, with through(topic)"
            )
        for node in self.nodes:
            if isinstance(node, Batched):
                behind = next((n for n in _below([node]) if n.store is not None), None)
                if behind is not None:
                    raise TopologyError(
                        f"stage {stage}, stream of {self.name}: batch makes lists of many keys, and "
                        f"{behind.label} keeps state by key: put a topic between them, with through(topic)"
                    )


def pipelines(stage: str, sources: Sequence[Source], errors: dict[int, ErrorPolicy]) -> list[Pipeline]:
    """One pipeline for each group of sources that feed a node together; ``errors`` has the policy of a source."""
    groups: list[tuple[set[int], list[Source]]] = []
    for source in sources:
        reached = {id(node) for node in _below([source], beside=True)}
        members = [source]
        for group in [g for g in groups if g[0] & reached]:
            groups.remove(group)
            reached |= group[0]
            members = [*group[1], *members]
        groups.append((reached, members))
    return [Pipeline(stage, members, errors[id(members[0])]) for _, members in groups]


def _below(nodes: Iterable[Node], *, beside: bool = False) -> list[Node]:
    """The nodes and all that follows from them, each once; ``beside``: and what looks them up."""
    found: dict[int, Node] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if id(node) not in found:
            found[id(node)] = node
            waiting += [*node.children, *node.beside] if beside else node.children
    return list(found.values())


def _ordered(sources: Sequence[Source]) -> list[Node]:
    """All nodes, parents first."""
    nodes = _below(sources)
    missing = {id(node): sum(parent in nodes for parent in node.parents) for node in nodes}
    ready: list[Node] = list(sources)
    ordered = []
    while ready:
        node = ready.pop(0)
        ordered.append(node)
        for child in node.children:
            missing[id(child)] -= 1
            if not missing[id(child)]:
                ready.append(child)
    return ordered


def _passes_by(sources: Sequence[Source], node: Node, stateful: Sequence[Node]) -> bool:
    """Whether a record can come to a store without coming through ``node``."""
    seen: set[int] = {id(node)}
    waiting: list[Node] = [source for source in sources if source is not node]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if current in stateful:
            return True
        waiting += current.children
    return False


def _meets_itself(source: Source, ordered: Sequence[Node]) -> bool:
    """Whether there are two ways from ``source`` to a node that keeps state or looks some up."""
    ways = {id(node): 0 for node in ordered}
    ways[id(source)] = 1
    looked_up = {id(node) for table in ordered for node in table.beside}
    for node in ordered:
        for following in (*node.children, *node.beside):
            ways[id(following)] += ways[id(node)]
    return any(ways[id(node)] > 1 for node in ordered if node.store is not None or node.by_two or id(node) in looked_up)
