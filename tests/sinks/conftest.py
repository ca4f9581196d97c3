"""A real server of the embedded ClickHouse, and a database of its own for every test."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicestream.embedded.child import Child
from voicestream.sinks.clickhouse import ClickHouse
from voicestream.sinks.migrate import upgrade

_numbers = itertools.count()


class Server:
    """The server process; it can be stopped and started again on the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "data"
        self._port_file = folder / "port"
        self._log = folder / "server.log"
        self.port = 0
        self.start()

    def start(self) -> None:
        self._port_file.unlink(missing_ok=True)
        module = "voicestream.embedded.clickhouse_server"
        command = [sys.executable, "-m", module, "--path", str(self.path), "--port", str(self.port)]
        self.process = Child("ClickHouse", [*command, "--port-file", str(self._port_file)], self._log)
        self.process.start()
        self.process.wait_ready(self._port_file.exists, 60)
        self.port = int(self._port_file.read_text())

    def setting(self, database: str = "default") -> str:
        return f"clickhouse://voice:stream@127.0.0.1:{self.port}/{database}"


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Starts a server for one test that is going to stop it."""
    started: list[Server] = []

    def start() -> Server:
        started.append(Server(tmp_path))
        return started[-1]

    yield start
    for server in started:
        server.process.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it running."""
    running = Server(tmp_path_factory.mktemp("clickhouse"))
    yield running
    running.process.stop()


@pytest.fixture
def empty(server: Server) -> Iterator[ClickHouse]:
    """A database that is not there yet."""
    clickhouse = ClickHouse(server.setting(f"test_{next(_numbers)}"))
    yield clickhouse
    clickhouse.close()


@pytest.fixture
def clickhouse(empty: ClickHouse) -> ClickHouse:
    """A database with our tables in it."""
    upgrade(empty)
    return empty
