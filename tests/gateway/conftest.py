"""One broker for all tests of the gateway, and one gateway for those that need nothing special of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from gateway_helpers import Running, create_all, serving

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
    return Settings(
        _env_file=None,
        broker=topics_broker.url,
        gateway_port=0,
        gateway_grace_s=0.5,
        gateway_drain_s=0.5,
        gateway_buffer_mb=1,
        api_keys="",
    )


@pytest_asyncio.fixture
async def gateway(settings: Settings) -> AsyncIterator[Running]:
    async with serving(settings) as running:
        yield running
