"""Messages that real Kafka refuses, among others that it takes."""

from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Consumer, TopicPartition

from tests.kafka.broker import KafkaBroker
from voicestream.streams.errors import SendError
from voicestream.streams.message import Outgoing
from voicestream.streams.runtime.producer import BatchProducer, producer_options

LIMIT = 20_000


async def make(kafka: KafkaBroker, topic: str, **config: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=config)])
    finally:
        await admin.close()


def values(kafka: KafkaBroker, topic: str, count: int) -> list[Any]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[Any] = []
    for _ in range(50):
        found += [message.value() for message in consumer.consume(count, timeout=0.2)]
        if len(found) >= count:
            break
    consumer.close()
    return found


async def test_only_the_message_that_is_too_large_is_refused_and_not_its_company(kafka: KafkaBroker) -> None:
    await make(kafka, "small-messages", **{"max.message.bytes": str(LIMIT)})
    producer = BatchProducer(producer_options(kafka.bootstrap, idempotent=True))
    sizes = [LIMIT + 1 if n in (17, 40) else 1500 for n in range(60)]  # 14 of the small ones are too large together
    with pytest.raises(SendError, match=r"topic small-messages: .* of 20002 bytes: Broker: Message size") as refused:
        await producer.send(
            Outgoing("small-messages", b"k", b"%d" % (n % 10) * size, 1) for n, size in enumerate(sizes)
        )
    assert list(refused.value.failures) == [17, 40]
    await producer.send([Outgoing("small-messages", b"k", b"the next", 1)])
    await producer.stop(5)
    found = values(kafka, "small-messages", 59)
    assert sorted(found) == sorted([*(b"%d" % (n % 10) * 1500 for n in range(60) if n not in (17, 40)), b"the next"])
    assert found[-1] == b"the next"


async def test_a_message_that_breaks_a_rule_of_its_topic_is_refused_alone(kafka: KafkaBroker) -> None:
    await make(kafka, "compacted", **{"cleanup.policy": "compact"})
    producer = BatchProducer(producer_options(kafka.bootstrap, idempotent=True))
    with pytest.raises(SendError) as refused:
        await producer.send(Outgoing("compacted", None if n == 3 else b"%d" % n, b"%d" % n, 1) for n in range(6))
    assert list(refused.value.failures) == [3]
    await producer.stop(5)
    assert sorted(values(kafka, "compacted", 5)) == [b"0", b"1", b"2", b"4", b"5"]
