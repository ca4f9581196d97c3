"""Reads changelogs back into stores: those of the partitions that are assigned, and of the others on standby.

The end of a changelog is taken from the answer to a fetch, never from ListOffsets: every broker that we know gives it
right there.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, UnknownTopicOrPartitionError

from voicestream.streams.errors import StreamsError
from voicestream.streams.runtime.metrics import METRICS
from voicestream.streams.runtime.runner import changelog_topic
from voicestream.streams.state.entries import checksum
from voicestream.streams.state.rocks import Position
from voicestream.streams.state.store import Store

log = logging.getLogger(__name__)

Owned = Mapping[Store[Any], Collection[int]]
"""Partitions of each store: those of the topics that change it."""

RETRY_S = 5.0
_SLICE = 500  # records that are restored in one go: the agents want their turn, too


async def recover(owned: Owned, consumer_options: Mapping[str, Any], standby: Owned) -> None:
    """Let the stores own partitions, and read their changelogs from where what is known of them ends.

    ``consumer_options`` are those of ``AIOKafkaConsumer``, without a group. ``standby``: partitions to be kept, for
    ``keep_warm``. A broker that is away is waited for. Raises ``StreamsError`` where a changelog lacks a partition.
    """
    for store, partitions in owned.items():
        store.assign(partitions, standby.get(store, ()))
    tps = _changelogs(owned)
    if not tps:
        return
    started, records = time.perf_counter(), 0
    waiting = set(tps)
    while waiting:
        try:
            async with _reader(owned, waiting, consumer_options) as reader:
                while waiting:
                    records += await reader.read()
                    for tp in list(waiting):
                        if await reader.at_end(tp):
                            waiting.discard(tp)
                            reader.consumer.pause(tp)
        except KafkaError as error:
            log.warning("state is not recovered yet: %s; trying again in %.0f s", error, RETRY_S)
            await asyncio.sleep(RETRY_S)
    seconds = time.perf_counter() - started
    METRICS.recovered(records, seconds)
    log.info("recovered %d changelog records of %d partitions in %.2f s", records, len(tps), seconds)


async def keep_warm(standby: Owned, consumer_options: Mapping[str, Any]) -> None:
    """Read what others write to the changelogs of these partitions, until cancelled."""
    tps = _changelogs(standby)
    while tps:
        try:
            async with _reader(standby, tps, consumer_options) as reader:
                while True:
                    await reader.read()
                    for tp in tps:
                        await reader.at_end(tp)
        except KafkaError as error:  # nobody's work depends on it
            log.warning("the copies on standby wait: %s", error)
            await asyncio.sleep(RETRY_S)


class ChangelogReader:
    """Hands the records of changelogs to the stores, from where each of them has got to.

    A changelog that was made anew is known by its end, or by another record where the last one that was applied was;
    then the store begins with nothing.
    """

    def __init__(self, consumer: AIOKafkaConsumer, by_topic: Mapping[str, Store[Any]]) -> None:
        self.consumer = consumer
        self._by_topic = by_topic
        self._known: dict[KafkaTopicPartition, Position] = {}  # to be checked against the first record

    def begin(self, tps: Collection[KafkaTopicPartition]) -> None:
        """Go to where each store has got to."""
        self.consumer.assign(tps)
        for tp in tps:
            known = self._by_topic[tp.topic].position(tp.partition)
            if known.offset:
                self._known[tp] = known
            self.consumer.seek(tp, max(0, known.offset - 1))

    async def read(self) -> int:
        """Restore what comes within a moment; the number of records."""
        try:
            fetched = await self.consumer.getmany(timeout_ms=100, max_records=_SLICE)
        except OffsetOutOfRangeError as error:  # the topic begins behind it, or ends before it
            for tp in error.args[0]:
                await self._begin_anew(tp)
            return 0
        records = 0
        for tp, messages in fetched.items():
            known = self._known.pop(tp, None)
            if known is not None and messages[0].offset == known.offset - 1:
                first = messages.pop(0)
                if checksum(first.key.decode(), first.value) != known.checksum:
                    await self._begin_anew(tp)
                    continue
            if messages:
                self._restore(tp, messages)
                records += len(messages)
        await asyncio.sleep(0)
        return records

    async def at_end(self, tp: KafkaTopicPartition) -> bool:
        """Whether all was read that there was at the last fetch."""
        end = self.consumer.highwater(tp)
        if end is None:
            return False
        if tp in self._known and end < self._known[tp].offset:
            await self._begin_anew(tp)
            return False
        return bool(await self.consumer.position(tp) >= end)

    def _restore(self, tp: KafkaTopicPartition, messages: Sequence[Any]) -> None:
        store = self._by_topic[tp.topic]
        for message in messages:
            store.restore(tp.partition, message.key.decode(), message.value)
        offset = message.offset + 1
        position = Position(offset, checksum(message.key.decode(), message.value))
        store.restored(tp.partition, position, max(offset, self.consumer.highwater(tp) or 0))

    async def _begin_anew(self, tp: KafkaTopicPartition) -> None:
        log.warning("changelog %s[%d] is not the one that this worker knew: all of it is read", *tp)
        self._known.pop(tp, None)
        self._by_topic[tp.topic].clear(tp.partition)
        await self.consumer.seek_to_beginning(tp)


def _changelogs(owned: Owned) -> list[KafkaTopicPartition]:
    return [
        KafkaTopicPartition(changelog_topic(store), number)
        for store, partitions in owned.items()
        for number in sorted(set(partitions))
    ]


@asynccontextmanager
async def _reader(
    stores: Iterable[Store[Any]], tps: Collection[KafkaTopicPartition], options: Mapping[str, Any]
) -> AsyncIterator[ChangelogReader]:
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="none", fetch_max_wait_ms=50)
    try:
        await consumer.start()
        await consumer._client.force_metadata_update()
        for topic, partition in tps:
            there = consumer.partitions_for_topic(topic)
            if not there:
                raise UnknownTopicOrPartitionError(topic)  # this broker does not know it yet
            if partition not in there:
                raise StreamsError(
                    f"changelog {topic} has {len(there)} partitions, and partition {partition} is wanted: a topic that "
                    "stores are made of was given more. Their keys would be in other partitions than their entries: "
                    "send the topic on to one with that number of partitions, or begin with new stores"
                )
        reader = ChangelogReader(consumer, {changelog_topic(store): store for store in stores})
        reader.begin(tps)
        yield reader
    finally:
        await consumer.stop()
