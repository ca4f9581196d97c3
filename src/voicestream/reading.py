"""Reading a topic of the configured broker from its beginning, without a consumer group."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from voicestream.errors import BrokerError
from voicestream.settings import Settings

FETCH_WAIT_MS = 100


def bootstrap_servers(config: Settings) -> str:
    """``host:port`` of the configured broker; raises ``BrokerError`` where the settings name none."""
    scheme, _, servers = config.broker.partition("://")
    if scheme not in ("kafka", "embedded") or not servers:
        raise BrokerError(
            f"VOICESTREAM_BROKER is {config.broker!r}: set it to kafka://host:9092, or to the embedded://host:port "
            "that `voicestream up` prints"
        )
    return servers


async def messages(config: Settings, topic: str) -> AsyncIterator[ConsumerRecord]:
    """The messages of ``topic``, in order within each partition, up to its present end.

    Raises ``BrokerError`` without the broker or the topic.
    """
    async with aclosing(followed(config, topic)) as all_of_it:
        async for message in all_of_it:
            if message is None:
                return
            yield message


async def followed(config: Settings, topic: str) -> AsyncGenerator[ConsumerRecord | None]:
    """As ``messages``; then ``None``, and whatever comes from there."""
    servers = bootstrap_servers(config)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, fetch_max_wait_ms=FETCH_WAIT_MS)
    try:
        await consumer.start()
        if topic not in await consumer.topics():
            raise BrokerError(f"the broker at {servers} has no topic {topic}: no stage that writes it has run there")
        waiting = {TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()}
        consumer.assign(list(waiting))
        await consumer.seek_to_beginning()
        while True:
            for fetched in (await consumer.getmany(timeout_ms=FETCH_WAIT_MS)).values():
                for message in fetched:
                    yield message
            if waiting:
                ends = {tp: consumer.highwater(tp) for tp in waiting}
                waiting -= {tp for tp, end in ends.items() if end is not None and await consumer.position(tp) >= end}
                if not waiting:
                    yield None
    except KafkaError as error:
        raise BrokerError(f"the broker at {servers}: {error}") from error
    finally:
        await consumer.stop()
