"""Reads the changelogs of the stores back when partitions are assigned.

The end of a changelog is taken from the answer to a fetch, never from ListOffsets: every broker that we know gives it
right there.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaTopicPartition

from voicestream.streams.runner import changelog_topic
from voicestream.streams.state import Store

log = logging.getLogger(__name__)


async def recover(stores: Iterable[Store[Any]], partitions: Iterable[int], consumer_options: Mapping[str, Any]) -> None:
    """Fill ``stores`` with the entries of ``partitions``; what they held before is dropped.

    ``consumer_options`` are those of ``AIOKafkaConsumer``, without a group.
    """
    by_topic = {changelog_topic(store): store for store in stores}
    tps = [KafkaTopicPartition(topic, partition) for topic in by_topic for partition in sorted(set(partitions))]
    for store in by_topic.values():
        store.drop()
    if not tps:
        return
    started, entries = time.perf_counter(), 0
    consumer = AIOKafkaConsumer(
        **consumer_options, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    try:
        await consumer.start()
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        waiting = set(tps)
        while waiting:
            for tp, messages in (await consumer.getmany(timeout_ms=100)).items():
                store = by_topic[tp.topic]
                for message in messages:
                    store.restore(tp.partition, message.key.decode(), message.value)
                entries += len(messages)
            for tp in list(waiting):
                end = consumer.highwater(tp)
                if end is not None and await consumer.position(tp) >= end:
                    waiting.discard(tp)
                    consumer.pause(tp)
            await asyncio.sleep(0)
    finally:
        await consumer.stop()
    log.info(
        "recovered %d changelog records of %d partitions in %.2f s", entries, len(tps), time.perf_counter() - started
    )
