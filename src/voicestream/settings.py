"""All settings, read from the environment (prefix ``VOICESTREAM_``) and from a ``.env`` file."""

import logging
import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from voicestream.errors import SettingsError

log = logging.getLogger(__name__)


class Settings(BaseSettings):
    """Configuration of every process; ``voicestream settings`` prints it."""

    model_config = SettingsConfigDict(env_prefix="VOICESTREAM_", env_file=".env", extra="ignore")

    broker: str = Field(
        "embedded",
        description="kafka://host:9092[,host:9092], or embedded (`voicestream up` and `demo` start a broker and hand "
        "embedded://host:port to their workers).",
    )
    partitions: int = Field(8, ge=1, description="Partitions of a topic that is created by voicestream.")
    replication: int = Field(1, ge=1, description="Replication factor of a topic that is created by voicestream.")
    session_timeout_s: float = Field(
        10.0,
        gt=0,
        description="Seconds without a sign of life after which a worker's partitions go to others; the broker may ask "
        "for 6 at least, and the embedded one has its own.",
    )
    schema_registry: str | None = Field(
        None, description="URL of a Confluent schema registry; none: single-object encoding."
    )
    schemas: Path = Field(
        Path("schemas"),
        description="Folder with the Avro schemas (*.avsc) of your own records, beside the packaged ones.",
    )
    clickhouse: str = Field(
        ".voicestream/clickhouse",
        description="clickhouse://user:password@host:8123/database, or the folder of the embedded engine.",
    )
    postgres: str | None = Field(
        None, description="postgresql://user:password@host:5432/database, for the stage postgres; none: not used."
    )
    redis: str | None = Field(None, description="redis://host:6379/0, for the stage redis; none: not used.")
    stt_engine: str = Field(
        "auto",
        description="Engine of speech to text: auto (the fastest that is installed), whisper.cpp, ctranslate2, "
        "openvino, grpc://HOST:PORT[,HOST:PORT...] or the name of a plug-in.",
    )
    stt_fallback: str | None = Field(
        None,
        description="Engine that takes segments while STT_ENGINE is away or full, and those it fails on, such as "
        "whisper.cpp or auto; none: they wait.",
    )
    stt_model: str = Field(
        "tiny.en",
        description="Model of speech to text: a name of `voicestream models list`, or a path or hub:OWNER/NAME, "
        "as the engine takes them.",
    )
    stt_language: str | None = Field(
        None, description="Language of the calls, such as en; none: a multilingual model finds it out for each segment."
    )
    stt_workers: int = Field(2, ge=1, description="Segments that one stt worker transcribes at once.")
    interim_ms: int = Field(
        0,
        ge=0,
        description="Milliseconds of speech after which the words so far are transcribed, to be shown while somebody "
        "speaks; 0: only whole segments are.",
    )
    sentiment_model: str = Field(
        "default",
        description="Model of text sentiment: default, onnx:FOLDER, hub:OWNER/NAME (extra: torch) or a plug-in.",
    )
    catalogue: Path | None = Field(None, description="YAML file of products and competitors for the insights.")
    routing_rules: Path | None = Field(None, description="YAML file of the routing rules; none: the packaged ones.")
    cache: Path = Field(Path("~/.cache/voicestream").expanduser(), description="Folder of downloaded model weights.")
    gateway_host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Port that the gateway listens on; 0: a free one.")
    gateway_grace_s: float = Field(
        10.0,
        ge=0,
        description="Seconds that a call lives on after its connection is lost, for the client to resume it.",
    )
    gateway_drain_s: float = Field(
        30.0, ge=0, description="Seconds that calls in progress have to end when the gateway is told to stop."
    )
    gateway_buffer_mb: int = Field(
        64, ge=1, description="MiB that the gateway holds while the broker is slow or away; then callers have to wait."
    )
    api_keys: str = Field("", description="Comma-separated keys that the gateway accepts; empty: no key is asked for.")
    ready_file: Path | None = Field(
        None, description="A worker creates this file once its partitions are assigned and its state is recovered."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port on which a worker serves Prometheus metrics on loopback."
    )
    state: Literal["memory", "rocksdb"] = Field(
        "memory",
        description="Where a worker keeps its stores, beside their changelogs: memory, or rocksdb (extra: rocksdb).",
    )
    state_folder: Path = Field(
        Path(".voicestream/state"), description="Folder of RocksDB; workers of one machine may share it."
    )
    standby: bool = Field(
        False, description="Whether a worker keeps copies of other workers' state, to take over sooner."
    )
    query_host: str = Field(
        "127.0.0.1", description="Address at which a worker answers queries of its stores, and other workers ask it."
    )
    query_port: int | None = Field(
        None, ge=0, le=65535, description="Port of these queries; 0: a free one; none: no queries."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text, or json: a line of JSON each, with stage, agent and record."
    )
    tracing: str | None = Field(
        None, description="URL of an OpenTelemetry collector (OTLP over HTTP), http://host:4318; none: no traces."
    )


@lru_cache
def settings() -> Settings:
    """The settings of this process, read once; raises ``SettingsError`` naming each one that makes no sense."""
    _warn_of_unknown(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        prefix = Settings.model_config["env_prefix"]
        raise SettingsError(
            "; ".join(f"{prefix}{e['loc'][0]}".upper() + f" is {e['input']!r}: {e['msg']}" for e in error.errors())
        ) from error


def _warn_of_unknown(environment: Iterable[str]) -> None:
    """A misspelt variable would be passed over without a word."""
    prefix = Settings.model_config["env_prefix"]
    known = [f"{prefix}{name}".upper() for name in Settings.model_fields]
    for name in sorted(set(environment) - set(known)):
        if name.startswith(prefix):
            near = get_close_matches(name, known, 1)
            log.warning("%s is no setting of voicestream%s", name, f"; did you mean {near[0]}?" if near else "")
