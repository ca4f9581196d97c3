"""Topics are created once, and a wrong one is named."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from voicestream.admin import create_topics
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import free_port
from voicestream.errors import BrokerError


async def partitions(broker: Broker, topic: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        return len((await admin.describe_topics([topic]))[0]["partitions"])
    finally:
        await admin.close()


async def test_topics_are_created_and_creating_them_again_changes_nothing(broker: Broker) -> None:
    for _ in range(2):
        await create_topics(broker.bootstrap, {"admin-a": 3, "admin-b": 1}, replication=1)
    assert (await partitions(broker, "admin-a"), await partitions(broker, "admin-b")) == (3, 1)


async def test_a_topic_with_another_number_of_partitions_is_named(broker: Broker) -> None:
    await create_topics(broker.bootstrap, {"admin-c": 2}, replication=1)
    with pytest.raises(BrokerError, match="Topic admin-c has 2 partitions, not 5"):
        await create_topics(broker.bootstrap, {"admin-c": 5}, replication=1)


async def test_a_broker_that_is_not_there_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerError, match=f"No Kafka broker answered at {address} within 0.5 s"):
        await create_topics(address, {"admin-d": 1}, replication=1, timeout_s=0.5)
