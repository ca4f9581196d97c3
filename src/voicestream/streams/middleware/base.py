"""What can be put around every call of an agent, without the agent knowing.

A middleware is an async function of the call and of ``proceed``, which makes the call and returns the messages that it
sends. It may do something before and after, look at or replace what is sent, and let an error pass::

    async def slow(call: Call, proceed: Proceed) -> list[Outgoing]:
        started = time.perf_counter()
        try:
            return await proceed()
        finally:
            if time.perf_counter() - started > 1:
                log.warning("stage %s, agent %s: a slow call", call.stage, call.agent)

    stage.use(slow)

Whoever runs an agent makes ``around = environment.around(agent.middleware, agent.errors.process)`` once, and awaits
``around(Call(stage, agent, events), proceed)`` for each call. ``proceed`` sets ``call.step`` to
``"produce"`` when the agent has returned, before its results are encoded, and ``call.failures`` when a batch agent says
which records are at fault. It must leave no trace of a try that raised, as it may be called again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from voicestream.streams.message import Event, Outgoing
from voicestream.streams.policies import Step


@dataclass(slots=True)
class Call:
    """One call of an agent: with one event, or with those of a batch."""

    stage: str
    agent: str
    events: Sequence[Event[Any]]
    step: Step = "process"
    """What is being done, and in case of an error what failed."""
    failures: Mapping[int, Exception] = field(default_factory=dict)
    """The records at fault by their position in ``events``, where the call as a whole did not fail."""


Proceed = Callable[[], Awaitable[list[Outgoing]]]
Middleware = Callable[[Call, Proceed], Awaitable[list[Outgoing]]]


def chain(middleware: Sequence[Middleware]) -> Middleware:
    """One middleware of several, the first of them outermost; of none it only proceeds."""
    if not middleware:
        return _proceed
    first, *rest = middleware
    return partial(_around, first, chain(rest)) if rest else first


async def _proceed(call: Call, proceed: Proceed) -> list[Outgoing]:
    return await proceed()


async def _around(outer: Middleware, inner: Middleware, call: Call, proceed: Proceed) -> list[Outgoing]:
    return await outer(call, partial(inner, call, proceed))
