"""Calls, results, insights, routing, metrics and dead letters → ClickHouse, each fact once."""

import asyncio
import logging
from collections.abc import Sequence

from voicestream import Batch, ErrorPolicy, Stage, topics
from voicestream.settings import settings
from voicestream.sinks.clickhouse import connect
from voicestream.sinks.clickhouse_sink import ClickHouseSink
from voicestream.sinks.migrate import upgrade
from voicestream.sinks.writing import raise_rejected
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.record import Record

log = logging.getLogger(__name__)

stage = Stage("clickhouse")
sinks: list[ClickHouseSink] = []


@stage.on_start
async def open_sink() -> None:
    clickhouse = await asyncio.to_thread(connect, settings().clickhouse)
    await asyncio.to_thread(upgrade, clickhouse)
    sinks[:] = [ClickHouseSink(clickhouse)]
    log.info("writing to %s", clickhouse.where)


@stage.agent(
    topics.calls,
    topics.results,
    topics.insights,
    topics.routing,
    topics.metrics,
    batch=Batch(max_size=2_000, within_ms=500),
)
async def facts(batch: list[Record]) -> None:
    """Write a batch; its offsets are committed once ClickHouse has it. While ClickHouse is away, everything waits."""
    await _write(batch)


# A letter that ClickHouse refuses must not become another letter of the same kind.
@stage.agent(topics.dlq, batch=Batch(max_size=500, within_ms=500), errors=ErrorPolicy(decode="skip", process="skip"))
async def dead_letters(batch: list[DeadLetter]) -> None:
    """Write dead letters."""
    await _write(batch)


async def _write(batch: Sequence[Record]) -> None:
    raise_rejected(await sinks[0].write(batch), batch)


app = stage.app()
