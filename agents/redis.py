"""Calls, utterances, figures and routing decisions → Redis: the live state of each call, for applications."""

import logging

from voicestream import Batch, Stage, topics
from voicestream.errors import SettingsError
from voicestream.records import CallEvent, CallMetric, CallSummary, RoutingDecision, UtteranceResult
from voicestream.settings import settings
from voicestream.sinks.redis import RedisSink
from voicestream.sinks.writing import raise_rejected

log = logging.getLogger(__name__)

stage = Stage("redis")
sinks: list[RedisSink] = []


@stage.on_start
async def open_sink() -> None:
    setting = settings().redis
    if setting is None:
        raise SettingsError("VOICESTREAM_REDIS is not set: the stage redis needs redis://host:6379/0")
    sinks[:] = [RedisSink(setting)]
    await sinks[0].check()
    log.info("writing to %s", sinks[0].where)


@stage.on_stop
async def close_sink() -> None:
    for sink in sinks:
        await sink.close()


@stage.agent(topics.calls, topics.results, topics.routing, topics.metrics, batch=Batch(max_size=500, within_ms=20))
async def live(batch: list[CallEvent | UtteranceResult | CallSummary | RoutingDecision | CallMetric]) -> None:
    """Write a batch; its offsets are committed once Redis has it. While it is away, everything waits."""
    raise_rejected(await sinks[0].write(batch), batch)


app = stage.app()
