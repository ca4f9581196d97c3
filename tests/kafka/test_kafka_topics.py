"""Topics on real Kafka, which tells of a topic some time after it has agreed to make it."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.kafka.broker import KafkaBroker
from voicestream.admin import create_topics
from voicestream.errors import BrokerError


def test_topics_that_are_being_made_are_waited_for(kafka: KafkaBroker) -> None:
    for turn in range(5):
        wanted = {f"many-{turn}-{number}": 8 for number in range(40)}
        asyncio.run(create_topics(kafka.bootstrap, wanted, replication=1))


def test_a_topic_with_another_number_of_partitions_is_named(kafka: KafkaBroker) -> None:
    asyncio.run(create_topics(kafka.bootstrap, {"of-four": 4}, replication=1))
    with pytest.raises(BrokerError, match="Topic of-four has 4 partitions, not 3"):
        asyncio.run(create_topics(kafka.bootstrap, {"of-four": 3}, replication=1))


def test_a_topic_is_kept_as_long_as_it_says(kafka: KafkaBroker) -> None:
    asyncio.run(create_topics(kafka.bootstrap, {"brief": 2, "usual": 2}, replication=1, retention={"brief": 600_000}))
    assert asyncio.run(_setting(kafka, "brief", "retention.ms")) == "600000"
    assert asyncio.run(_setting(kafka, "brief", "segment.ms")) == "600000"
    assert asyncio.run(_setting(kafka, "usual", "retention.ms")) == "604800000"


async def _setting(kafka: KafkaBroker, topic: str, name: str) -> str | None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return next(entry[1] for *_, entries in answer.resources for entry in entries if entry[0] == name)
    finally:
        await admin.close()


def test_more_replicas_than_brokers_are_refused_by_name(kafka: KafkaBroker) -> None:
    with pytest.raises(BrokerError, match="topic threefold: InvalidReplicationFactorError"):
        asyncio.run(create_topics(kafka.bootstrap, {"threefold": 4}, replication=3))
