"""Keeps the global tables of a worker: reads their topics whole, without a group, and follows them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import KafkaError

from voicestream.streams.errors import RegistryError, StreamsError
from voicestream.streams.message import Message, Outgoing
from voicestream.streams.runtime.delivery import Send
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.failures import Failures
from voicestream.streams.stage import Stage
from voicestream.streams.table import GlobalTable

log = logging.getLogger(__name__)

RETRY_S = 5.0


class GlobalTables:
    """The global tables of some stages; ``ready`` is set when all of them have been read to their end."""

    def __init__(self, stages: Sequence[Stage], environment: Environment, send: Send) -> None:
        self.ready = asyncio.Event()
        self._codec = environment.codec
        self._send = send
        self._next: dict[KafkaTopicPartition, int] = {}  # where to go on: agents join the tables meanwhile
        self._tables: dict[str, list[tuple[GlobalTable[Any], Failures]]] = {}
        for stage in stages:
            for table in stage.global_tables:
                failures = Failures(environment, stage.name, f"global table of {table.topic.name}")
                self._tables.setdefault(table.topic.name, []).append((table, failures))
        if not self._tables:
            self.ready.set()

    async def follow(self, consumer_options: Mapping[str, Any]) -> None:
        """Read the topics from the beginning and go on, until cancelled; ``consumer_options`` have no group.

        Raises ``RegistryError`` while the schema registry cannot be asked: nothing is wrong with the records then.
        """
        while self._tables:
            try:
                await self._follow(consumer_options)
            except KafkaError as error:
                log.warning("the global tables stay as they are: %s; trying again in %.0f s", error, RETRY_S)
                await asyncio.sleep(RETRY_S)

    async def _follow(self, consumer_options: Mapping[str, Any]) -> None:
        consumer = AIOKafkaConsumer(
            **consumer_options, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        await consumer.start()
        try:
            await consumer._client.force_metadata_update()
            tps = [
                KafkaTopicPartition(topic, partition)
                for topic in self._tables
                for partition in sorted(consumer.partitions_for_topic(topic) or ())
            ]
            consumer.assign(tps)
            for tp in tps:
                if tp in self._next:
                    consumer.seek(tp, self._next[tp])
                else:
                    await consumer.seek_to_beginning(tp)
            waiting = set(tps)
            while True:
                for tp, messages in (await consumer.getmany(timeout_ms=100)).items():
                    for m in messages:
                        await self._take(
                            Message(m.topic, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
                        )
                        self._next[tp] = m.offset + 1
                for tp in list(waiting):
                    end = consumer.highwater(tp)
                    if end is not None and await consumer.position(tp) >= end:
                        waiting.discard(tp)
                if not waiting and not self.ready.is_set():
                    log.info("read the global tables of %s", ", ".join(sorted(self._tables)))
                    self.ready.set()
        finally:
            await consumer.stop()

    async def _take(self, message: Message) -> None:
        out: list[Outgoing] = []
        for table, failures in self._tables[message.topic]:
            try:
                record = None if message.value is None else self._codec.decode(table.topic, message.value)
                key = message.key.decode() if message.key is not None else record.key if record is not None else ""
                table.put(key, record)
            except RegistryError:
                raise
            except (StreamsError, UnicodeDecodeError, NotImplementedError) as error:
                failures.handle("dead_letter", "decode", message, error, out)
        if out:
            await self._send(out)
