"""Fixtures that several areas share."""

from collections.abc import Iterator

import pytest

from voicestream.embedded.broker import Broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka broker on a free port of loopback; tests keep apart by the names of their topics."""
    with Broker(tmp_path_factory.mktemp("broker") / "broker.log") as running:
        yield running
