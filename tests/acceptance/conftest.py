"""One broker, one ClickHouse server and one worker a stage, for all tests that leave them as they were."""

from collections.abc import Iterator

import pytest
from acceptance_support import STAGES, Cluster, Server

from voicestream.embedded.broker import Broker


@pytest.fixture(scope="session")
def acceptance_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of our own: the names of the topics are those of the product."""
    with Broker(tmp_path_factory.mktemp("broker") / "broker.log") as running:
        yield running


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("clickhouse"))
    yield server
    server.process.stop()


@pytest.fixture(scope="session")
def cluster(
    acceptance_broker: Broker, clickhouse_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("workers"), acceptance_broker, clickhouse_server.setting)
    try:
        running.start(STAGES)
        yield running
    finally:
        running.stop()
