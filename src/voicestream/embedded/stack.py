"""The whole of voicestream on this machine: broker, ClickHouse, gateway and workers as child processes."""

import asyncio
import http.client
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from voicestream import topics
from voicestream.admin import create_topics, retentions, wanted_topics
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import LOOPBACK, Child, free_port
from voicestream.embedded.cut_off import end_cut_off_calls
from voicestream.settings import Settings
from voicestream.sinks import migrate
from voicestream.sinks.clickhouse import connect

Progress = Callable[[str, str, float], None]
"""Told of every part that is ready: its name, where it is, and the seconds since the start of the stack."""

CLICKHOUSE_TIMEOUT_S = 60.0
GATEWAY_TIMEOUT_S = 60.0
WORKERS_TIMEOUT_S = 120.0  # models are loaded
STOP_TIMEOUT_S = 15.0
EVERY_INTERFACE = ("0.0.0.0", "::", "")
GATEWAY_STOP_S = 3.0  # behind the time that calls have to end


class Stack:
    """Every part of voicestream on loopback; what the settings give by an address is used, the rest is started.

    ``folder`` gets the logs. Use it as a context manager from the main thread (a child dies with the thread that
    started it), and call ``check`` now and then. ``settings`` are those of the parts once they have started.
    """

    def __init__(self, settings: Settings, folder: Path, progress: Progress = lambda name, where, took: None) -> None:
        self.settings = settings
        self.folder = folder
        self._progress = progress
        self._children: list[Child] = []
        self._gateway: Child | None = None

    @property
    def gateway_url(self) -> str:
        """Where the gateway and the dashboard are."""
        return f"http://{self._gateway_host}:{self.settings.gateway_port}"

    @property
    def _gateway_host(self) -> str:
        host = self.settings.gateway_host
        return LOOPBACK if host in EVERY_INTERFACE else host

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the broker."""
        return self.settings.broker.partition("://")[2]

    def start(self) -> None:
        """Start every part and wait until all are ready; if one fails, stop the others and raise its error."""
        self._began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        alone = self.settings.broker == "embedded" and "://" not in self.settings.clickhouse  # nobody else writes there
        try:
            clickhouse = self._launch_clickhouse()  # it takes longest: the broker starts meanwhile
            self._start_broker()
            if clickhouse is not None:
                self._wait_for_clickhouse(clickhouse)
            self._migrate(alone)
            workers = self._launch_workers()
            self._start_gateway()
            workers.wait_ready(self._workers_are_ready, WORKERS_TIMEOUT_S)
            self._ready("workers", "every stage has its partitions")
        except BaseException:
            self.stop(drain_s=0)
            raise

    def check(self) -> None:
        """Raise ``EmbeddedError``, with the end of its log, when a part has died."""
        for child in self._children:
            child.check()

    def stop(self, drain_s: float | None = None) -> None:
        """Stop the last part first: the gateway, which lets calls end (for ``drain_s``, or as the settings say)."""
        drain_s = self.settings.gateway_drain_s if drain_s is None else drain_s
        while self._children:
            child = self._children[-1]
            child.stop(GATEWAY_STOP_S + drain_s if child is self._gateway else STOP_TIMEOUT_S)
            self._children.pop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop(drain_s=0 if kind else None)

    def _workers_are_ready(self) -> bool:
        self.check()
        return self._ready_file.exists()

    @property
    def _ready_file(self) -> Path:
        return (self.folder / "workers.ready").resolve()

    def _start_broker(self) -> None:
        if self.settings.broker == "embedded":
            broker = Broker(self.folder / "broker.log")
            broker.start()
            self._children.append(broker.child)
            self._set(broker=broker.url)
        self._ready("broker", self.bootstrap)
        wanted = wanted_topics(self.settings.partitions)
        asyncio.run(
            create_topics(
                self.bootstrap, wanted, replication=self.settings.replication, retention=retentions(topics.ALL)
            )
        )
        self._ready("topics", f"{len(wanted)} topics of {self.settings.partitions} partitions")

    def _launch_clickhouse(self) -> Child | None:
        if "://" in self.settings.clickhouse:
            return None
        path = Path(self.settings.clickhouse)
        self._port_file.unlink(missing_ok=True)
        arguments = ["--path", str(path), "--port", "0", "--port-file", str(self._port_file)]
        return self._launch("clickhouse", "voicestream.embedded.clickhouse_server", *arguments)

    @property
    def _port_file(self) -> Path:
        return self.folder / "clickhouse.port"

    def _wait_for_clickhouse(self, clickhouse: Child) -> None:
        clickhouse.wait_ready(self._port_file.exists, CLICKHOUSE_TIMEOUT_S)
        self._set(clickhouse=f"clickhouse://{LOOPBACK}:{self._port_file.read_text().strip()}/default")

    def _migrate(self, alone: bool) -> None:
        database = connect(self.settings.clickhouse)
        try:
            migrate.upgrade(database)
            if alone:
                end_cut_off_calls(database)
            self._ready("clickhouse", database.where)
        finally:
            database.close()

    def _start_gateway(self) -> None:
        self._set(gateway_port=free_port(self.settings.gateway_port))
        self._gateway = self._launch("gateway", "voicestream", "gateway")
        self._gateway.wait_ready(self._gateway_answers, GATEWAY_TIMEOUT_S)
        self._ready("gateway", self.gateway_url)

    def _gateway_answers(self) -> bool:
        connection = http.client.HTTPConnection(self._gateway_host, self.settings.gateway_port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _launch_workers(self) -> Child:
        self._ready_file.unlink(missing_ok=True)
        arguments = ["-A", "agents.all", "worker", "--without-web", "-l", "info"]
        return self._launch("workers", "faust", *arguments, VOICESTREAM_READY_FILE=str(self._ready_file))

    def _launch(self, name: str, module: str, *arguments: str, **env: str) -> Child:
        settings = {
            "VOICESTREAM_BROKER": self.settings.broker,
            "VOICESTREAM_CLICKHOUSE": self.settings.clickhouse,
            "VOICESTREAM_GATEWAY_HOST": self.settings.gateway_host,
            "VOICESTREAM_GATEWAY_PORT": str(self.settings.gateway_port),
            "OMP_WAIT_POLICY": "passive",  # threads that spin while they wait starve the other parts
            "PYTHONUNBUFFERED": "1",
        }
        if self.settings.catalogue is not None:
            settings["VOICESTREAM_CATALOGUE"] = str(self.settings.catalogue.resolve())
        command = [sys.executable, "-m", module, *arguments]
        child = Child(f"The {name} process", command, self.folder / f"{name}.log", env={**settings, **env})
        child.start()
        self._children.append(child)
        return child

    def _set(self, **values: object) -> None:
        self.settings = self.settings.model_copy(update=values)

    def _ready(self, name: str, where: str) -> None:
        self._progress(name, where, time.monotonic() - self._began)


def run_folder() -> Path:
    """A new folder for the logs of a run, named by the time and our process, in ``.voicestream/run``."""
    folder = Path(".voicestream") / "run" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder
