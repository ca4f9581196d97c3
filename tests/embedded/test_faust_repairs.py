"""Faust recovers its tables exactly from the embedded broker, with the two repairs."""

import json
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faust.types import TP

from voicestream.admin import create_topics
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import Child
from voicestream.embedded.faust_repairs import high_watermarks
from voicestream.errors import EmbeddedError

WORDS, APP, MESSAGES = "repairs-words", "repairs-app", 1500


def worker(broker: Broker, folder: Path, **env: str) -> Child:
    settings = {"BOOTSTRAP": broker.bootstrap, "APP_ID": APP, "WORDS": WORDS, "DATADIR": str(folder / "faust")}
    command = [sys.executable, "-m", "faust", "-A", "counting_app", "worker", "--without-web", "-l", "info"]
    here = str(Path(__file__).parent)
    child = Child("The worker", command, folder / "worker.log", env={**settings, **env, "PYTHONPATH": here})
    child.start()
    return child


async def last_values(broker: Broker, topic: str) -> tuple[dict[str, int], dict[TP, int]]:
    """The newest value of each key and the end of each partition, read from the first message on."""
    values: dict[str, int] = {}
    ends = dict.fromkeys((TP(topic, 0), TP(topic, 1)), 0)
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        consumer.assign([TopicPartition(*tp) for tp in ends])
        await consumer.seek_to_beginning()
        while batch := await consumer.getmany(timeout_ms=1000):
            for tp, messages in batch.items():
                values.update({json.loads(m.key): json.loads(m.value) for m in messages})
                ends[TP(*tp)] = messages[-1].offset + 1
    return values, ends


async def test_a_table_is_recovered_exactly_after_kill_9(broker: Broker, tmp_path: Path) -> None:
    await create_topics(broker.bootstrap, {WORDS: 2}, replication=1)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=50) as producer:
        for number in range(MESSAGES):
            word = b"word-%d" % (number % 37)
            await producer.send(WORDS, word, key=word)

    first = worker(broker, tmp_path, DIE_AFTER=str(MESSAGES // 2))
    with pytest.raises(EmbeddedError, match="was killed by SIGKILL"):
        first.wait_ready(lambda: False, 30)

    written, ends = await last_values(broker, f"{APP}-counts-changelog")
    assert sum(written.values()) >= MESSAGES // 2 - 37
    assert await high_watermarks([broker.bootstrap], ends) == ends

    report = tmp_path / "report.json"
    second = worker(broker, tmp_path, REPORT=str(report))
    try:
        second.wait_ready(report.exists, 30)
    finally:
        second.stop(timeout_s=0)
    assert json.loads(report.read_text()) == written
