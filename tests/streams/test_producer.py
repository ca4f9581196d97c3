"""What agents send: the same partitions as other clients, in order, and back-pressure."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, TopicPartition

from voicestream.admin import create_topics
from voicestream.embedded.broker import Broker
from voicestream.streams.errors import SendError
from voicestream.streams.message import Outgoing
from voicestream.streams.runtime.producer import BatchProducer, producer_options

TOPIC = "said"  # each test has one of its own, with a number
Read = Callable[[int], list[Any]]
NUMBERS = itertools.count()
PARTITIONS = 7


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory) -> Iterator[str]:
    with Broker(tmp_path_factory.mktemp("broker") / "broker.log") as broker:
        yield broker.bootstrap


@pytest.fixture
async def producer(bootstrap: str) -> AsyncIterator[BatchProducer]:
    producer = BatchProducer(producer_options(bootstrap, idempotent=False))
    yield producer
    await producer.stop(5)


def said(value: bytes, key: bytes | None = b"k", **fields) -> Outgoing:
    return Outgoing(TOPIC, key, value, 1_700_000_000_000, **fields)


@pytest.fixture(autouse=True)
def _fresh_topic(bootstrap: str) -> None:
    global TOPIC
    TOPIC = f"said-{next(NUMBERS)}"
    asyncio.run(create_topics(bootstrap, {TOPIC: PARTITIONS}, replication=1))


@pytest.fixture
def read(bootstrap: str) -> Read:
    """Reads so many messages of the topic."""

    def read(count: int) -> list[Any]:
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
        found: list[Any] = []
        for _ in range(50):
            found += consumer.consume(count, timeout=0.2)
            if len(found) >= count:
                break
        consumer.close()
        return found

    return read


async def test_a_key_goes_to_the_partition_that_java_and_faust_choose(producer: BatchProducer, read: Read):
    keys = [f"call-{n}".encode() * (1 + n % 3) for n in range(200)] + [b"\x00", b"\xff\xfe", "ключ".encode(), b""]
    await producer.send(said(b"v", key) for key in keys)
    choose, partitions = DefaultPartitioner(), list(range(PARTITIONS))
    found = {message.key(): message.partition() for message in read(len(keys))}
    assert found == {key: choose(key, partitions, partitions) for key in keys}


async def test_messages_without_a_key_go_anywhere_and_those_for_a_partition_go_there(
    producer: BatchProducer, read: Read
):
    await producer.send([said(b"no key", None), *(said(b"%d" % n, None, partition=n) for n in range(PARTITIONS))])
    found = {message.value(): message.partition() for message in read(1 + PARTITIONS)}
    assert found.pop(b"no key") in range(PARTITIONS)
    assert found == {b"%d" % n: n for n in range(PARTITIONS)}


async def test_a_message_arrives_with_its_key_headers_and_time_and_none_stays_none(producer: BatchProducer, read: Read):
    await producer.send([said(b"", b"a", headers=(("origin", b"x"),)), Outgoing(TOPIC, b"a", None, 5, 3)])
    found = {message.timestamp()[1]: message for message in read(2)}
    assert found[1_700_000_000_000].headers() == [("origin", b"x")]
    assert found[1_700_000_000_000].value() == b""
    assert found[5].value() is None
    assert found[5].key() == b"a"


async def test_order_is_kept_and_a_full_queue_makes_the_sender_wait(bootstrap: str, read: Read):
    options = producer_options(bootstrap, idempotent=False) | {"queue.buffering.max.messages": 20}
    producer = BatchProducer(options)
    await asyncio.gather(*(producer.send([said(b"%d" % n, b"%d" % k) for n in range(100)]) for k in range(5)))
    await producer.stop(5)
    by_key: dict[bytes, list[int]] = {}
    for message in read(500):
        by_key.setdefault(message.key(), []).append(int(message.value()))
    assert by_key == {b"%d" % k: list(range(100)) for k in range(5)}


async def test_messages_that_are_refused_are_named_when_the_others_have_been_sent(bootstrap: str, read: Read):
    producer = BatchProducer(producer_options(bootstrap, idempotent=False) | {"message.max.bytes": 1000})
    with pytest.raises(
        SendError, match=r"2 messages were refused; the first: topic said-\d+: .* 2001 bytes"
    ) as refused:
        await producer.send(said(bytes(2000) if n in (3, 7) else b"%d" % n) for n in range(10))
    await producer.stop(5)
    assert list(refused.value.failures) == [3, 7]
    assert [int(message.value()) for message in read(8)] == [0, 1, 2, 4, 5, 6, 8, 9]


async def test_messages_to_a_topic_that_is_not_there_are_refused_and_the_others_sent(bootstrap: str, read: Read):
    options = producer_options(bootstrap, idempotent=False) | {"topic.metadata.propagation.max.ms": 100}
    producer = BatchProducer(options)
    with pytest.raises(SendError, match="topic nowhere: ") as refused:
        await producer.send([Outgoing("nowhere", b"k", b"v", 1, 77), said(b"v")])
    assert list(refused.value.failures) == [0]
    await producer.stop(5)
    assert [message.value() for message in read(1)] == [b"v"]


async def test_a_producer_whose_broker_is_away_stops_and_drops_what_waits(caplog):
    producer = BatchProducer(producer_options("127.0.0.1:1", idempotent=True))
    sending = asyncio.create_task(producer.send([said(b"v")]))
    await asyncio.sleep(0.05)
    sending.cancel()
    await producer.stop(0.1)
    assert "1 messages were not taken by the broker" in caplog.text
