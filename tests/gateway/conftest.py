"""One broker for all tests of the gateway, and one gateway for those that need nothing special of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from gateway_helpers import Running, create_all, serving, settings_for

from voicestream.embedded.broker import Broker
from voicestream.settings import Settings


@pytest.fixture(scope="session")
def topics_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of its own, because the gateway reads and writes the topics of the product."""
    with Broker(tmp_path_factory.mktemp("gateway") / "broker.log") as running:
        asyncio.run(create_all(running))
        yield running


@pytest.fixture(scope="session")
def settings(topics_broker: Broker) -> Settings:
    return settings_for(topics_broker)


@pytest_asyncio.fixture
async def gateway(settings: Settings) -> AsyncIterator[Running]:
    async with serving(settings) as running:
        yield running
