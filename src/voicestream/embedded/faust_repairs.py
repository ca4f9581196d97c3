"""Two repairs that Faust 0.15 needs to be right, and quick, on the embedded broker; real Kafka needs neither.

1. Tansu answers ListOffsets(latest) with the base offset of the last batch plus one. Faust asks it how far the
   changelog of a table goes, and would end recovery too early, silently. A fetch response has the true high watermark.
2. Tansu is not woken by a produce while a fetch waits, and sleeps half of the longest wait, which Faust sets to 1.5 s.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka
from aiokafka import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, server_list
from faust.types import TP

FETCH_WAIT_MS = 100
WATERMARK_TIMEOUT_S = 10.0

_create_worker_consumer = AIOKafkaConsumerThread._create_worker_consumer


def apply() -> None:
    """Repair Faust in this process; to be called before the app starts, and only for the embedded broker."""
    # setattr: to a type checker a method is not to be replaced, and it is right but for this module
    setattr(AIOKafkaConsumerThread, "_highwaters", _highwaters)  # noqa: B010
    setattr(AIOKafkaConsumerThread, "_create_worker_consumer", _create_impatient_consumer)  # noqa: B010


def _create_impatient_consumer(thread: Any, transport: Any) -> aiokafka.AIOKafkaConsumer:
    consumer = _create_worker_consumer(thread, transport)
    consumer._fetch_max_wait_ms = min(consumer._fetch_max_wait_ms, FETCH_WAIT_MS)
    return consumer


async def _highwaters(thread: Any, partitions: Iterable[TP]) -> Mapping[TP, int]:
    transport = thread.transport
    return await high_watermarks(server_list(transport.url, transport.default_port), partitions)


async def high_watermarks(servers: list[str], partitions: Iterable[TP]) -> dict[TP, int]:
    """The offset behind the last message of each partition, as fetch responses tell it."""
    wanted = {TopicPartition(tp.topic, tp.partition): tp for tp in partitions}
    # A consumer of its own: the worker's has positions and buffers that must not be moved.
    async with aiokafka.AIOKafkaConsumer(bootstrap_servers=servers, fetch_max_wait_ms=FETCH_WAIT_MS) as consumer:
        consumer.assign(list(wanted))
        for partition, end in (await consumer.end_offsets(list(wanted))).items():
            consumer.seek(partition, max(end - 1, 0))  # the start of the last batch: one fetch brings little
        async with asyncio.timeout(WATERMARK_TIMEOUT_S):
            while any(consumer.highwater(partition) is None for partition in wanted):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return {tp: int(consumer.highwater(partition)) for partition, tp in wanted.items()}
