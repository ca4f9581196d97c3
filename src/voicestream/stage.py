"""Stages with the settings of this process: ``stage.app()`` is what ``faust -A agents.NAME worker`` runs."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import faust
import prometheus_client

from voicestream import topics, tracing
from voicestream.admin import create_topics, retentions
from voicestream.codec import codec
from voicestream.errors import SettingsError, VoicestreamError
from voicestream.settings import Settings, settings
from voicestream.streams.errors import StreamsError
from voicestream.streams.middleware.base import Middleware
from voicestream.streams.middleware.logs import JsonFormatter, bind_logs
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.keeper import StateConfig
from voicestream.streams.runtime.queries import QueryConfig
from voicestream.streams.runtime.worker import WorkerConfig, stages_app
from voicestream.streams.stage import Stage as StreamsStage
from voicestream.streams.topology.checks import problems, refuse, unknown_topics
from voicestream.streams.topology.model import all_changelogs, all_topics, partition_counts

log = logging.getLogger(__name__)

JSON_LOGGING = {
    "merge": True,  # with Faust's own, which has the level
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "json"}},
}


class Stage(StreamsStage):
    """A stage whose app takes broker, topics and codec from the settings."""

    def app(self) -> faust.App:
        """The Faust app of this stage: its own consumer group, ``voicestream.NAME``."""
        return app(self)


def app(*stages: Stage, name: str | None = None) -> faust.App:
    """One Faust app of several stages; the consumer group is ``voicestream.NAME``."""
    return stages_app(f"voicestream.{name or stages[0].name}", stages, worker_config(settings()))


def worker_config(config: Settings) -> WorkerConfig:
    """What a worker must be told, from the settings.

    A broker that a worker cannot use is an error only when the worker starts: tests import agents without one.
    """
    broker = urlsplit(config.broker)
    options: dict[str, Any] = {
        "topic_partitions": config.partitions,
        "topic_replication_factor": config.replication,
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "broker_commit_interval": 1.0,
        "stream_wait_empty": False,
        "consumer_auto_offset_reset": "earliest",
        "producer_max_request_size": 4_000_000,
        "web_enabled": False,
        "datadir": Path(".voicestream") / "faust",
        "loghandlers": [],
    }
    if broker.scheme == "embedded":
        from voicestream.embedded import faust_repairs

        faust_repairs.apply()
        options |= {"broker_session_timeout": 6, "broker_heartbeat_interval": 1, "broker_rebalance_timeout": 6}
    else:
        timeout_s = config.session_timeout_s
        options |= {"broker_session_timeout": timeout_s, "broker_heartbeat_interval": timeout_s / 4}
    if config.log_format == "json":
        options["logging_config"] = JSON_LOGGING
    return WorkerConfig(
        broker=f"kafka://{broker.netloc or 'none'}",
        environment=Environment(codec(), topics.dlq, _middleware(config)),
        options=options,
        prepare=partial(_prepare, config),
        idempotent=broker.scheme != "embedded",
        state=StateConfig(config.state, config.state_folder, config.standby),
        queries=QueryConfig(config.query_host, config.query_port) if config.query_port is not None else None,
        on_ready=_say_ready,
        expected_errors=(VoicestreamError, StreamsError),
    )


def _middleware(config: Settings) -> list[Middleware]:
    logs = [bind_logs] if config.log_format == "json" else []
    return [*logs, tracing.middleware(config.tracing)] if config.tracing is not None else [*logs]


async def _prepare(config: Settings, stages: Sequence[StreamsStage]) -> None:
    if config.tracing is not None:
        tracing.start(config.tracing, f"voicestream.{stages[0].name}" if len(stages) == 1 else "voicestream")
    if config.metrics_port is not None:
        _serve_metrics(config.metrics_port)
    await _create_topics(config, stages)


def _serve_metrics(port: int) -> None:
    try:
        prometheus_client.start_http_server(port, addr="127.0.0.1")
    except OSError as error:
        raise SettingsError(
            f"VOICESTREAM_METRICS_PORT is {port}, and 127.0.0.1:{port} cannot be had ({error.strerror}): every worker "
            "of a machine needs a port of its own."
        ) from error
    log.info("metrics are at http://127.0.0.1:%d/metrics", port)


async def _create_topics(config: Settings, stages: Sequence[StreamsStage]) -> None:
    """Create what the stages read and write and does not exist yet: Faust does not, and fails without."""
    broker = urlsplit(config.broker)
    if broker.scheme not in ("kafka", "embedded") or not broker.netloc:
        raise SettingsError(
            f"VOICESTREAM_BROKER is {config.broker!r}: a worker needs kafka://host:9092, "
            "or embedded://host:port of a running `voicestream up`."
        )
    wanted = {topics.dlq.name: config.partitions} | partition_counts(stages, config.partitions)
    await create_topics(
        broker.netloc,
        wanted,
        replication=config.replication,
        compacted=all_changelogs(stages),
        retention=retentions(all_topics(stages)),
        check=partial(_check, stages, wanted),
    )


def _check(stages: Sequence[StreamsStage], wanted: Mapping[str, int], there: Mapping[str, int]) -> None:
    """Whether the stages fit the topics that are there, and those that are yet to be created."""
    known = {*there, *(topic.name for topic in topics.ALL)}
    nowhere = "no stage of this worker writes and the broker does not have"
    refuse((*problems(stages, {**wanted, **there}), *unknown_topics(stages, known, where=nowhere)))


def _say_ready() -> None:
    log.info("partitions are assigned and state is recovered")
    ready = settings().ready_file
    if ready is not None:
        ready.touch()
