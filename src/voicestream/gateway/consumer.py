"""Reads the result topics from where they end, in a thread of its own, and hands their records to the event loop."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from voicestream import topics
from voicestream.codec import codec
from voicestream.gateway.stats import GatewayStats
from voicestream.streams.errors import DecodeError
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

log = logging.getLogger(__name__)

TOPICS: dict[str, Topic[Any]] = {
    topic.name: topic
    for topic in (
        topics.calls,
        topics.interims,
        topics.transcripts,
        topics.sentiment,
        topics.insights,
        topics.routing,
        topics.metrics,
        topics.results,
    )
}
OPTIONAL = frozenset({topics.interims.name})  # no worker makes it where there are no captions
LOOK_S = 1.0
LOOK_AGAIN_S = 30.0
ANSWER_S = 2.0


class ResultConsumer:
    """Follows every partition of ``TOPICS``, without a consumer group: each gateway sees everything."""

    def __init__(self, servers: str, deliver: Callable[[list[Record]], None], stats: GatewayStats) -> None:
        self._deliver = deliver
        self._stats = stats
        self._codec = codec()
        self._stop = threading.Event()
        self._ready = asyncio.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "voicestream-gateway",  # librdkafka wants one; it is not joined
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.max.ms": 1000,
            },
            logger=log.getChild("rdkafka"),
        )
        self._assigned: set[tuple[str, int]] = set()
        self._looked = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to read; records arrive on ``loop``."""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="gateway-results", daemon=True)
        self._thread.start()

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the positions are fixed, so that later records are not missed; False after ``timeout_s``."""
        try:
            await asyncio.wait_for(self._ready.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        next_look = 0.0
        while not self._stop.is_set():
            try:
                if time.monotonic() >= next_look:
                    complete = self._look()
                    next_look = time.monotonic() + (LOOK_AGAIN_S if complete else LOOK_S)
                self._read()
            except Exception:  # the feed goes on, whatever one message or answer was
                log.exception("reading the result topics failed")
                self._stop.wait(LOOK_S)
        self._consumer.close()

    def _look(self) -> bool:
        """Take up partitions that are new; whether all topics are there."""
        try:
            found = self._consumer.list_topics(timeout=ANSWER_S).topics
            fresh = [
                TopicPartition(name, partition)
                for name in TOPICS.keys() & found.keys()
                for partition in found[name].partitions
                if (name, partition) not in self._assigned
            ]
            for one in fresh:
                # What is there at the first look is the past; what comes up later is new, and read from its beginning.
                one.offset = OFFSET_BEGINNING if self._looked else self._end(one)
        except KafkaException as error:
            log.debug("the result topics cannot be looked up: %s", error)
            return False
        if fresh:
            self._consumer.incremental_assign(fresh)
            self._assigned |= {(one.topic, one.partition) for one in fresh}
        self._looked = True
        self._loop.call_soon_threadsafe(self._ready.set)
        return all(name in found for name in TOPICS.keys() - OPTIONAL)

    def _end(self, partition: TopicPartition) -> int:
        _, end = self._consumer.get_watermark_offsets(partition, timeout=ANSWER_S)
        return int(end)

    def _read(self) -> None:
        records: list[Record] = []
        for message in self._consumer.consume(500, timeout=0.1):
            if message.error() is not None:
                log.debug("reading the result topics: %s", message.error())
                continue
            try:
                records.append(self._codec.decode(TOPICS[str(message.topic())], message.value()))
            except DecodeError as error:
                self._stats.undecodable += 1
                log.warning("skipped: %s", error)
        if records and not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._deliver, records)
