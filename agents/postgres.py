"""Calls, utterances and routing decisions → PostgreSQL, each fact once: the record that applications work with."""

import logging

from voicestream import Batch, Stage, topics
from voicestream.errors import SettingsError
from voicestream.records import CallEvent, CallSummary, RoutingDecision, UtteranceResult
from voicestream.settings import settings
from voicestream.sinks.postgres import Postgres
from voicestream.sinks.postgres_migrate import upgrade
from voicestream.sinks.postgres_sink import PostgresSink
from voicestream.sinks.writing import raise_rejected

log = logging.getLogger(__name__)

stage = Stage("postgres")
servers: list[Postgres] = []
sinks: list[PostgresSink] = []


@stage.on_start
async def open_sink() -> None:
    setting = settings().postgres
    if setting is None:
        raise SettingsError(
            "VOICESTREAM_POSTGRES is not set: the stage postgres needs postgresql://user:password@host:5432/database"
        )
    servers[:] = [Postgres(setting)]
    await upgrade(servers[0])
    sinks[:] = [PostgresSink(servers[0])]
    log.info("writing to %s", servers[0].where)


@stage.on_stop
async def close_server() -> None:
    for server in servers:
        await server.close()


@stage.agent(topics.calls, topics.results, topics.routing, batch=Batch(max_size=1_000, within_ms=200))
async def record(batch: list[CallEvent | UtteranceResult | CallSummary | RoutingDecision]) -> None:
    """Write a batch; its offsets are committed once PostgreSQL has it. While it is away, everything waits."""
    raise_rejected(await sinks[0].write(batch), batch)


app = stage.app()
