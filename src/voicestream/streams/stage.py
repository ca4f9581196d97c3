"""A stage: a named group of agents that scale together.

One stage is one Faust app, one consumer group, one deployable.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from voicestream.streams.declarations import accepted, returned
from voicestream.streams.durations import Duration, parse_duration
from voicestream.streams.errors import TopologyError
from voicestream.streams.graph import Graph
from voicestream.streams.message import Event, Result
from voicestream.streams.middleware.base import Middleware
from voicestream.streams.names import checked
from voicestream.streams.operators.pipeline import Pipeline
from voicestream.streams.policies import Batch, ErrorPolicy
from voicestream.streams.record import Record
from voicestream.streams.state.store import Backend, State, Store
from voicestream.streams.stream import Stream
from voicestream.streams.table import GlobalTable, Table
from voicestream.streams.topic import Topic

S = TypeVar("S")
R = TypeVar("R", bound=Record)
F = TypeVar("F", bound=Callable[..., Any])


class Processor(Protocol):
    """An agent that keeps its own memory, such as open segments, and may hold back the commit of its sources."""

    async def process(self, events: Sequence[Event[Any]]) -> Result:
        """Take events of any partitions, in order within each; return what is to be sent."""

    async def punctuate(self, now_ms: int) -> Result:
        """Called about twice a second of wall-clock time."""

    def oldest_needed(self, topic: str, partition: int) -> int | None:
        """The offset from which the partition must be read again after a crash; ``None``: nothing is held."""

    def checkpointed(self) -> None:
        """What was saved in the stage's store is in its changelog now: sources may be let go that it stands for."""

    def discard(self) -> None:
        """Forget everything: partitions are assigned anew and will be read again from what was committed."""


@dataclass(frozen=True)
class Agent:
    """One agent of a stage, as it was declared."""

    name: str
    stage: str
    inputs: tuple[Topic[Any], ...]
    outputs: tuple[Topic[Any], ...]
    accepts: tuple[type[Record], ...]
    sends: tuple[type[Record], ...] | None = None
    """Which types of its outputs it sends; ``None``: any of them."""
    call: Callable[..., Awaitable[Result]] | None = None
    processor: Callable[[], Processor] | None = None
    batch: Batch | None = None
    pipeline: Pipeline | None = None
    concurrency: int = 1
    ordered: bool = True
    """Whether no two calls for the same key run at once."""
    store: Store[Any] | None = None
    errors: ErrorPolicy = field(default_factory=ErrorPolicy)
    middleware: Sequence[Middleware] = ()

    @property
    def stores(self) -> tuple[Store[Any], ...]:
        """The stores that it writes to, in the order in which their changes are to be sent."""
        if self.pipeline is not None:
            return self.pipeline.stores
        return (self.store,) if self.store is not None else ()


@dataclass(frozen=True)
class Punctuator:
    """A function called for every key of a store, every so often."""

    name: str
    stage: str
    every_ms: int
    store: Store[Any]
    outputs: tuple[Topic[Any], ...]
    call: Callable[[int, State[Any]], Awaitable[Result]]
    errors: ErrorPolicy


class Stage:
    """Declares agents, stores and punctuators; runs nothing itself."""

    def __init__(self, name: str, *, errors: ErrorPolicy | None = None) -> None:
        """``errors`` is the policy of every agent of the stage that has none of its own."""
        self.name = checked("stage", name)
        self.errors = errors or ErrorPolicy()
        self.middleware: list[Middleware] = []
        self._declared: list[Agent] = []
        self._graph = Graph(self)
        self.punctuators: list[Punctuator] = []
        self.stores: dict[str, Store[Any]] = {}
        self.starters: list[Callable[[], Awaitable[None]]] = []
        self.stoppers: list[Callable[[], Awaitable[None]]] = []

    @property
    def agents(self) -> list[Agent]:
        """Every agent of the stage: those that were declared, and one for each connected part of its operators."""
        return [*self._declared, *(self._piped(pipeline) for pipeline in self._graph.pipelines())]

    @property
    def global_tables(self) -> list[GlobalTable[Any]]:
        """The tables of which every worker has a copy."""
        return self._graph.global_tables

    def stream(
        self,
        topic: Topic[R],
        *,
        time: Callable[[R], int] | None = None,
        idle: Duration | None = "30s",
        errors: ErrorPolicy | None = None,
    ) -> Stream[R]:
        """The records of ``topic``, to go on with operators.

        ``time`` takes the event time of a record, in Unix epoch ms; without it, it is the time of the message. Where
        several streams meet, event time is that of the one that is behind; one from which nothing came for ``idle`` of
        wall clock is not waited for, and ``None`` waits always.
        """
        return self._graph.stream(topic, time, idle, errors)

    def table(
        self, name: str, topic: Topic[R], *, errors: ErrorPolicy | None = None, ttl: Duration | None = None
    ) -> Table[R]:
        """The latest record of each key of ``topic``, in the store ``STAGE-NAME``; a message without value removes it.

        A stream that joins it needs the same number of partitions. A key whose record has not changed for ``ttl`` of
        wall-clock time (the same again is no change) is removed: joins find it no more. Nothing goes out for that by
        ``to_stream`` or ``to``.
        """
        return self._graph.table(name, topic, errors, ttl)

    def global_table(self, topic: Topic[R]) -> GlobalTable[R]:
        """The latest record of each key of ``topic``, whole on every worker, to be joined by any key."""
        return self._graph.global_table(topic)

    def agent(
        self,
        *inputs: Topic[Any],
        out: Topic[Any] | tuple[Topic[Any], ...] = (),
        batch: Batch | None = None,
        concurrency: int = 1,
        state: Store[Any] | None = None,
        errors: ErrorPolicy | None = None,
    ) -> Callable[[F], F]:
        """Declare an agent: an async function of a record, or with ``batch`` of a list of records.

        With ``state`` it gets the ``State`` of the record's key as well, or a list of them. It gets the records of
        its inputs that its annotation names; what it returns (a record, several, or none) goes to the topic of
        ``out`` that carries it.

        ``concurrency`` calls run at once, never two for the same key, so the order within a key is kept.
        """

        if not inputs:
            raise TopologyError(f"stage {self.name}: an agent has no input topic")

        def declare(function: F) -> F:
            if not inspect.iscoroutinefunction(inspect.unwrap(function)):
                raise TopologyError(
                    f"stage {self.name}, agent {function.__name__}: write it with async def, and return what it makes"
                )
            self._add(
                Agent(
                    name=function.__name__,
                    stage=self.name,
                    inputs=inputs,
                    outputs=_topics(out),
                    accepts=accepted(f"stage {self.name}, agent {function.__name__}", function, inputs),
                    sends=returned(f"stage {self.name}, agent {function.__name__}", function, _topics(out)),
                    call=function,
                    batch=batch,
                    concurrency=concurrency,
                    store=state,
                    errors=errors or self.errors,
                    middleware=self.middleware,
                )
            )
            return function

        return declare

    def processor(
        self,
        *inputs: Topic[Any],
        out: Topic[Any] | tuple[Topic[Any], ...] = (),
        max_batch: int = 500,
        state: Store[Any] | None = None,
        errors: ErrorPolicy | None = None,
    ) -> Callable[[type[Processor]], type[Processor]]:
        """Declare a ``Processor`` class as an agent; it is handed what the consumer fetched in one go.

        It opens and saves the entries of the store ``state`` itself. It is never called again with the same events,
        whatever ``errors`` says of ``process``: its memory may have taken some of them.
        """

        def declare(kind: type[Processor]) -> type[Processor]:
            accepts = tuple(dict.fromkeys(t for topic in inputs for t in topic.types))
            self._add(
                Agent(
                    name=kind.__name__,
                    stage=self.name,
                    inputs=inputs,
                    outputs=_topics(out),
                    accepts=accepts,
                    processor=kind,
                    batch=Batch(max_batch),
                    store=state,
                    errors=errors or self.errors,
                    middleware=self.middleware,
                )
            )
            return kind

        return declare

    def use(self, middleware: Middleware) -> Middleware:
        """Put ``middleware`` around every call of every agent of the stage, within what is there; also a decorator."""
        self.middleware.append(middleware)
        return middleware

    def store(
        self, name: str, type: type[S], *, backend: Backend | None = None, ttl: Duration | None = None
    ) -> Store[S]:
        """Declare a keyed store; its changelog topic is ``STAGE-NAME-changelog``.

        ``backend`` is where this worker keeps its entries, ``"memory"`` or ``"rocksdb"``; ``None``: as the worker's
        settings say. Entries that have not changed for ``ttl`` of wall-clock time are removed; event time plays no
        part in it. ``ttl`` is in milliseconds, or text such as ``"1h"``.
        """
        if name in self.stores:
            raise TopologyError(f"stage {self.name}: there are two stores named {name!r}")
        ttl_ms = None if ttl is None else parse_duration(ttl)
        if ttl_ms == 0:
            raise TopologyError(f"stage {self.name}, store {name}: a time to live of 0 would keep nothing")
        store = Store(checked("store", f"{self.name}-{name}"), type, backend=backend, ttl_ms=ttl_ms)
        self.stores[name] = store
        return store

    def every(
        self, interval_ms: int, *, store: Store[S], out: Topic[Any] | tuple[Topic[Any], ...] = ()
    ) -> Callable[
        [Callable[[int, State[S]], Awaitable[Result]]],
        Callable[[int, State[S]], Awaitable[Result]],
    ]:
        """Declare a punctuator: called every ``interval_ms`` of wall-clock time with the time and each key's state."""

        def declare(
            function: Callable[[int, State[S]], Awaitable[Result]],
        ) -> Callable[[int, State[S]], Awaitable[Result]]:
            name = getattr(function, "__name__", "punctuator")
            self._owns(f"punctuator {name}", store)
            returned(f"stage {self.name}, punctuator {name}", function, _topics(out))
            self.punctuators.append(
                Punctuator(name, self.name, interval_ms, store, _topics(out), function, self.errors)
            )
            return function

        return declare

    def on_start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Declare what must succeed before the stage takes records, such as loading a model."""
        self.starters.append(function)
        return function

    def on_stop(self, function: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Declare what is to be let go when the stage has stopped, such as a connection; the start may have failed."""
        self.stoppers.append(function)
        return function

    def _add(self, agent: Agent) -> None:
        if any(agent.name == other.name for other in self._declared):
            raise TopologyError(f"stage {self.name}: there are two agents named {agent.name!r}")
        if agent.store is not None and agent.concurrency > 1:
            raise TopologyError(f"stage {self.name}: agent {agent.name} has state, so only one call runs at a time")
        if agent.store is not None:
            self._owns(f"agent {agent.name}", agent.store)
        for other in self._declared:
            shared = sorted({topic.name for topic in agent.inputs} & {topic.name for topic in other.inputs})
            if agent.store is not None and agent.store is other.store and shared:
                # The fence of an entry is by topic: what one of them has applied would be refused to the other.
                raise TopologyError(
                    f"stage {self.name}: agents {other.name} and {agent.name} share store {agent.store.name} and take "
                    f"{', '.join(shared)}: make them one agent, or give each a store of its own"
                )
        self._declared.append(agent)

    def _piped(self, pipeline: Pipeline) -> Agent:
        """The agent that runs a pipeline."""
        waits, linger = pipeline.asynchronous, pipeline.linger
        return Agent(
            name=pipeline.name,
            stage=self.name,
            inputs=pipeline.inputs,
            outputs=pipeline.outputs,
            accepts=tuple(dict.fromkeys(t for topic in pipeline.inputs for t in topic.types)),
            pipeline=pipeline,
            batch=Batch(*linger) if linger is not None else None,
            concurrency=waits.concurrency if waits is not None else 1,
            ordered=waits is None or waits.order == "key",
            errors=pipeline.errors,
            middleware=self.middleware,
        )

    def _owns(self, who: str, store: Store[Any]) -> None:
        if store not in self.stores.values():
            raise TopologyError(
                f"stage {self.name}, {who} has the store {store.name}, which is not of this stage, so nobody would "
                "recover it: declare one with store() of this stage"
            )


def _topics(out: Topic[Any] | tuple[Topic[Any], ...]) -> tuple[Topic[Any], ...]:
    return out if isinstance(out, tuple) else (out,)
