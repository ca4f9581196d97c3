"""Calls, sentiment, insights and figures → voice.routing: what the rules decide, while the call goes on."""

import asyncio
import logging

from voicestream import Stage, State, topics
from voicestream.records import CallEvent, CallMetric, Insight, RoutingDecision, Sentiment
from voicestream.routing.evaluate import evaluate
from voicestream.routing.rules import Rule, load_rules
from voicestream.routing.state import RoutingState
from voicestream.settings import settings

log = logging.getLogger(__name__)

FORGET_MS = 86_400_000  # after the last record of a call: long, as a worker that catches up is behind the clock

stage = Stage("routing")
calls = stage.store("calls", RoutingState)
rules: list[Rule] = []


@stage.on_start
async def load() -> None:
    rules[:] = await asyncio.to_thread(load_rules, settings().routing_rules)
    log.info("%d rules of %s", len(rules), settings().routing_rules or "the package")


@stage.agent(topics.calls, topics.sentiment, topics.insights, topics.metrics, out=topics.routing, state=calls)
async def route(
    record: CallEvent | Sentiment | Insight | CallMetric, call: State[RoutingState]
) -> list[RoutingDecision]:
    """Apply the rules to a call with one more record in it."""
    if isinstance(record, Sentiment) and record.source != "text":
        return []  # no rule asks for the tone of voice
    call.value, decisions = evaluate(rules, call.value or RoutingState(), record)
    return decisions


@stage.every(60_000, store=calls)
async def forget(now: int, call: State[RoutingState]) -> None:
    """Forget the calls of which nothing has been heard for long."""
    if call.value is not None and now - call.value.at_ms > FORGET_MS:
        call.value = None


app = stage.app()
