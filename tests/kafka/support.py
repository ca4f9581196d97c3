"""Workers of the stages under test on a real broker, what they are given, and what must come of it."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.kafka.agents_under_test import SCHEMAS, Reading, Tally, topics_of
from tests.kafka.broker import KafkaBroker
from tests.processes import Topics, Worker, wait_until
from voicestream.codec import schema_folder
from voicestream.streams.avro.codec import Codec
from voicestream.streams.avro.schemas import SchemaSet
from voicestream.streams.dead_letter import DeadLetter
from voicestream.streams.state.store import Store

PARTITIONS = 4
SENSORS = 100
FEEDS_PER_S = 50
SESSION_TIMEOUT_S = "2"

Totals = dict[tuple[str, int], tuple[int, int]]
"""Count and sum by sensor and number of the reading."""


class Run:
    """One test's workers and topics."""

    def __init__(self, name: str, broker: KafkaBroker, folder: Path) -> None:
        self.name = name
        self.topics = topics_of(name)
        self._codec = Codec(SchemaSet.of_folders(schema_folder(), SCHEMAS))
        self.kafka = Topics(broker.bootstrap, self._codec, enable_idempotence=True)
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        self._broker = broker
        self._folder = folder
        self._workers: list[Worker] = []
        self._watcher = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "watcher"})

    def worker(self, app: str, name: str = "one", *, ready: bool = True, **env: str) -> Worker:
        """Start a worker of an app of ``agents_under_test``, and wait until it is ready unless told otherwise."""
        settings = {
            "VOICESTREAM_BROKER": self._broker.url,
            "VOICESTREAM_PARTITIONS": str(PARTITIONS),
            "VOICESTREAM_SCHEMAS": str(SCHEMAS),
            "VOICESTREAM_SESSION_TIMEOUT_S": SESSION_TIMEOUT_S,
            "UNDER_TEST": self.name,
            "UNDER_TEST_WORKER": name,
            **env,
        }
        worker = Worker(name, self._folder, f"tests.kafka.agents_under_test:{app}", **settings)
        self._workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    @contextmanager
    def feeding(self, given: Sequence[Reading], per_s: int) -> Iterator[None]:
        """Send the readings at this rate while the body runs, and the rest of them after it."""

        def feed() -> None:
            for first in range(0, len(given), per_s // FEEDS_PER_S):
                self.kafka.send(self.topics.readings, *given[first : first + per_s // FEEDS_PER_S])
                time.sleep(1 / FEEDS_PER_S)

        with ThreadPoolExecutor(1) as pool:
            fed = pool.submit(feed)
            yield
            fed.result()

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._watcher.close()

    def sent(self, topic: str) -> int:
        """How many messages the topic has had."""
        partitions = self._watcher.list_topics(topic, timeout=30).topics[topic].partitions
        return sum(self._watcher.get_watermark_offsets(TopicPartition(topic, n), timeout=30)[1] for n in partitions)

    def wait_sent(self, count: int) -> None:
        """Wait until there are so many totals, those that came twice among them."""
        wait_until(f"{count} totals", lambda: self.sent(self.topics.totals.name) >= count)

    def committed(self, app: str) -> int:
        """How many readings the worker's group has committed."""
        group = Consumer({"bootstrap.servers": self._broker.bootstrap, "group.id": f"voicestream.{self.name}-{app}"})
        try:
            readings = [TopicPartition(self.topics.readings.name, number) for number in range(PARTITIONS)]
            return sum(max(tp.offset, 0) for tp in group.committed(readings, timeout=30))
        finally:
            group.close()

    def wait_committed(self, app: str, count: int) -> None:
        wait_until(f"{count} readings committed", lambda: self.committed(app) >= count)

    def totals(self) -> Totals:
        """The totals that there are; one that came twice must say the same."""
        found: Totals = {}
        for record in self.kafka.everything(self.topics.totals):
            which, said = (record.sensor, record.number), (record.count, record.sum)
            assert found.setdefault(which, said) == said, f"{which} came twice: {found[which]} and {said}"
        return found

    def signed(self) -> Counter[str]:
        """How many totals each worker has sent."""
        return Counter(record.worker for record in self.kafka.everything(self.topics.totals))

    def state(self, app: str) -> dict[str, Tally]:
        """What the changelog of the app's store holds: the last entry of each sensor."""
        store = Store("changelog", Tally)
        for message in self.messages(f"{self.name}-{app}-tallies-changelog"):
            store.restore(message.partition(), message.key().decode(), message.value())
        return {key: tally for _, key in store if (tally := store.get(key)) is not None}

    def messages(self, topic: str) -> list[Any]:
        """The messages that the topic has, less those that were compacted away."""
        return list(takewhile(lambda message: message is not None, self.kafka.messages(topic)))

    def reading(self, letter: DeadLetter) -> tuple[str, int]:
        """Sensor and number of the reading that became a dead letter."""
        reading = self._codec.decode(self.topics.readings, letter.source_value)
        assert isinstance(reading, Reading)
        return reading.sensor, reading.number

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        self.admin.incremental_alter_configs([resource])[resource].result(30)

    def config(self, topic: str) -> dict[str, Any]:
        """The settings of a topic."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        entries = self.admin.describe_configs([resource])[resource].result(30)
        return {name: entry.value for name, entry in entries.items()}


def readings(first: int, until: int, sensors: int = SENSORS) -> list[Reading]:
    """The readings ``first`` to ``until`` of all sensors in turn; the values differ."""
    now = time.time_ns() // 1_000_000
    return [
        Reading(sensor=f"sensor-{n % sensors}", number=n // sensors, value=n * 7 % 1_000, at_ms=now)
        for n in range(first, until)
    ]


def truth(given: Iterable[Reading]) -> Totals:
    """The totals that must come of the readings."""
    tallies: dict[str, Tally] = {}
    totals: Totals = {}
    for reading in given:
        tally = tallies.setdefault(reading.sensor, Tally())
        tally.count += 1
        tally.sum += reading.value
        totals[reading.sensor, reading.number] = (tally.count, tally.sum)
    return totals


def last(totals: Totals) -> dict[str, Tally]:
    """The state that belongs to the totals."""
    return {sensor: Tally(*total) for (sensor, _), total in sorted(totals.items())}
