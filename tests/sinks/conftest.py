"""A real server of the embedded ClickHouse, and a database of its own for every test."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_process import Server

from voicestream.sinks.clickhouse import ClickHouse
from voicestream.sinks.migrate import upgrade

_numbers = itertools.count()


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
