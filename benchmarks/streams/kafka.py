"""The benchmark's side of the broker: topics, filling them, reading what came out."""

import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from benchmarks.streams.work import RESULT, Output

PARTITIONS = 4


class Kafka:
    """Topics of one run on one broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        base: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}  # it logs each topic that is removed
        self._base = base
        self._admin = AdminClient(base)
        self._producer = Producer(
            base | {"partitioner": "murmur2_random", "linger.ms": 5, "queue.buffering.max.kbytes": 262_144}
        )

    def create(self, *topics: str, log_append_time: bool = False) -> None:
        """Make topics; with ``log_append_time`` a message's time is that of its arrival at the broker."""
        config = {"message.timestamp.type": "LogAppendTime"} if log_append_time else {}
        made = self._admin.create_topics([NewTopic(t, PARTITIONS, 1, config=config) for t in topics])
        for future in made.values():
            future.result(30)

    def delete_all(self) -> None:
        """Remove what a run has left, its internal topics too."""
        names = [name for name in self._admin.list_topics(timeout=10).topics if not name.startswith("__")]
        for future in self._admin.delete_topics(names).values() if names else ():
            future.result(30)

    def fill(self, topic: str, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send all of them, and return when the broker has them."""
        for n, (key, value) in enumerate(messages):
            while True:
                try:
                    self._producer.produce(topic, key=key, value=value)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            if n % 1000 == 0:
                self._producer.poll(0)
        if left := self._producer.flush(60):
            raise TimeoutError(f"the broker did not take {left} messages of topic {topic} within 60 s")

    def send_at_rate(self, topic: str, messages: Iterable[tuple[str, bytes]], per_second: int) -> list[int]:
        """Send message by message at a fixed rate; when each was sent, in ms of the epoch."""
        sent, started = [], time.monotonic()
        for n, (key, value) in enumerate(messages):
            ahead = started + n / per_second - time.monotonic()
            if ahead > 0:
                self._producer.flush(0)
                time.sleep(ahead)
            sent.append(time.time_ns() // 1_000_000)
            self._producer.produce(topic, key=key, value=value, timestamp=sent[-1])
        self._producer.flush(30)
        return sent

    def ends(self, topic: str) -> dict[int, int]:
        """The end of each partition."""
        deadline = time.monotonic() + 30
        while True:
            try:
                asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(PARTITIONS)}
                return {tp.partition: f.result(10).offset for tp, f in self._admin.list_offsets(asked).items()}
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                # A client that asked before the topic had leaders remembers for long that it has none.
                self._admin = AdminClient(self._base)
                time.sleep(0.1)

    def read(self, topic: str, starts: dict[int, int]) -> list[Output]:
        """The results from ``starts`` to the present ends, in order within each partition."""
        ends = self.ends(topic)
        wanted = sum(ends[p] - starts[p] for p in ends)
        found: list[Output] = []
        # A consumer for each reading: one that has seen topics come and go may not find a new one.
        reader = Consumer(self._base | {"group.id": "reader", "enable.auto.commit": False})
        reader.assign([TopicPartition(topic, p, starts[p]) for p in ends])
        deadline = time.monotonic() + 60
        while len(found) < wanted and time.monotonic() < deadline:
            for message in reader.consume(min(10_000, wanted - len(found)), timeout=0.5):
                if message.error() is None:
                    found.append(Output(message.timestamp()[1], **RESULT.decode(message.value())))
        reader.close()
        return found
