"""What an event costs, step by step: ``python benchmarks/worker.py [EVENTS] [--broker kafka://HOST:PORT|embedded]``.

First single steps, each in a process of its own; then worker processes (``faust worker``), which find all events in
the topic and do one thing more from row to row. The rows take turns, in rounds, and the least of each counts. Broker,
worker and this process share the machine; the CPU time is that of the process that the row names.

Without ``--broker`` it starts Apache Kafka (needs Java and Maven), or where it cannot, the embedded broker.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import Consumer, Producer, TopicPartition

from voicestream.admin import create_topics
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.records import Transcript
from voicestream.streams.message import Outgoing
from voicestream.streams.runtime.producer import BatchProducer, producer_options
from voicestream.streams.topic import Topic
from voicestream.testing import transcript

PARTITIONS = 8
KEYS = 200
SAID = Topic("bench-said", Transcript)
MADE = "bench-made"

BARE = (
    ("librdkafka", "confluent_kafka alone: consume"),
    ("aiokafka", "aiokafka alone: fetch"),
    ("decode", "codec alone: decode"),
    ("encode", "codec alone: encode"),
    ("send", "producer alone: send, 500 at a time"),
)
STEPS = (
    ("batch", "batch stage: decode, call"),
    ("batch_out", "batch stage: decode, call, send"),
    ("read", "record by record: decode, call"),
    ("make", "record by record: decode, call, send"),
    ("count", "record by record: decode, call, state, send"),
    ("window", "windowed aggregate: every update sent"),
)

STAGES = """
import json, os, time
from pathlib import Path

import msgspec

from voicestream import Batch, Stage, State
from voicestream.records import Insight, Transcript
from voicestream.streams.topic import Topic
from voicestream.streams.windows import Windowed, tumbling

class Count(msgspec.Struct):
    n: int = 0

said_topic = Topic("bench-said", Transcript)
made_topic = Topic("bench-made", Insight)
kind, group = os.environ["BENCH_STAGE"], os.environ["BENCH_GROUP"]
events, report = int(os.environ["BENCH_EVENTS"]), Path(os.environ["BENCH_REPORT"])
stage = Stage(group)
seen, began = 0, (0.0, 0.0)

def see(count):
    global seen, began
    if not seen:
        began = time.perf_counter(), time.process_time()
    seen += count
    if seen >= events:
        report.with_suffix(".new").write_text(
            json.dumps([time.perf_counter() - began[0], time.process_time() - began[1]])
        )
        report.with_suffix(".new").rename(report)

if kind == "batch":
    @stage.agent(said_topic, batch=Batch(500))
    async def batch(said: list[Transcript]) -> None:
        see(len(said))
elif kind == "batch_out":
    @stage.agent(said_topic, out=made_topic, batch=Batch(500))
    async def batch_out(said: list[Transcript]) -> list[Insight]:
        see(len(said))
        return [Insight.of(one, kind="made") for one in said]
elif kind == "read":
    @stage.agent(said_topic)
    async def read(said: Transcript) -> None:
        see(1)
elif kind == "make":
    @stage.agent(said_topic, out=made_topic)
    async def make(said: Transcript) -> Insight:
        see(1)
        return Insight.of(said, kind="made")
elif kind == "window":
    def add(count: int, said: Transcript) -> int:
        return count + 1

    def told(window: Windowed[int]) -> Insight:
        return Insight(
            insight_id=f"{window.key}/{window.start_ms}", utterance_id="", call_id=window.key, track="agent", number=0,
            at_ms=window.start_ms, kind="counted", label=str(window.value), text="", start=0, end=0, confidence=1.0,
            extractor="bench",
        )

    stream = stage.stream(said_topic, time=lambda said: said.at_ms).peek(lambda said: see(1))
    windows = stream.window(tumbling("1m", grace="10s"), name="talk")
    windows.aggregate(int, add).current().map(told).to(made_topic)
else:
    counts = stage.store("counts", Count)

    @stage.agent(said_topic, out=made_topic, state=counts)
    async def count(said: Transcript, state: State[Count]) -> Insight:
        see(1)
        state.value = Count((state.value.n if state.value else 0) + 1)
        return Insight.of(said, kind="counted", label=str(state.value.n))

app = stage.app()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="What an event costs in a worker.")
    parser.add_argument("events", nargs="?", type=int, default=50_000)
    parser.add_argument("--broker", help="kafka://HOST:PORT, or embedded; without: Apache Kafka if it can be had")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", nargs="+", default=[name for name, _ in (*BARE, *STEPS)])
    asked = parser.parse_args()
    with broker_at(asked.broker) as url, tempfile.TemporaryDirectory() as folder:
        bootstrap = urlsplit(url).netloc
        asyncio.run(create_topics(bootstrap, {SAID.name: PARTITIONS, MADE: PARTITIONS}, replication=1))
        produce(producer_options(bootstrap, idempotent=urlsplit(url).scheme != "embedded"), asked.events)
        (Path(folder) / "bench_stages.py").write_text(STAGES)
        best: dict[str, tuple[float, float]] = {}
        for round_ in range(asked.rounds):
            for name in asked.steps:
                seconds, cpu = (
                    bare(name, bootstrap, asked.events)
                    if name in dict(BARE)
                    else worker(name, url, asked.events, Path(folder), f"bench-{name}-{time.time_ns()}")
                )
                known = best.get(name, (seconds, cpu))
                best[name] = min(known[0], seconds), min(known[1], cpu)
                print(f"round {round_ + 1}, {name}: {1e6 * cpu / asked.events:.1f} µs", file=sys.stderr)
        print(f"{url.partition(':')[0]}, {asked.events} events, {len(encoded(0))} bytes each")
        for name, what in (*BARE, *STEPS):
            if name in best:
                seconds, cpu = best[name]
                print(f"{what:44} {asked.events / seconds:9,.0f} events/s {1e6 * cpu / asked.events:7.1f} µs of CPU")


@contextmanager
def broker_at(url: str | None) -> Iterator[str]:
    """A broker to measure on, as the setting ``broker`` names it."""
    if url is not None and url != "embedded":
        yield url
        return
    if url is None:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from tests.kafka.broker import KafkaBroker, reason_not_available

        reason = reason_not_available()
        if reason is None:
            with KafkaBroker() as kafka:
                yield kafka.url
                return
        print(f"the embedded broker is used: {reason}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "broker.log") as embedded:
        yield embedded.url


def said(n: int) -> Transcript:
    """The event ``n``: one of ``KEYS`` calls, 10 ms of event time after the one before it."""
    call, text = f"call-{n % KEYS}", "I will think about it."
    at_ms = 1_700_000_000_000 + 10 * n
    return transcript(call_id=call, utterance_id=f"{call}/agent/{n}", number=n, text=text, at_ms=at_ms)


def encoded(n: int) -> bytes:
    return codec().encode(SAID, said(n))


def produce(options: dict[str, Any], events: int) -> None:
    producer = Producer(options | {"linger.ms": 5})
    for n in range(events):
        producer.produce(SAID.name, key=f"call-{n % KEYS}", value=encoded(n))
        if n % 1000 == 0:
            producer.poll(0)
    producer.flush()


def bare(name: str, bootstrap: str, events: int) -> tuple[float, float]:
    """Wall clock and CPU seconds of a process that does one step alone."""
    command = [sys.executable, __file__, "--bare", name, bootstrap, str(events)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, cpu = json.loads(done.stdout)
    return seconds, cpu


def alone(name: str, bootstrap: str, events: int) -> None:
    """What ``bare`` starts."""
    if name == "librdkafka":
        consume(bootstrap, events)
    elif name == "aiokafka":
        asyncio.run(read_aiokafka(bootstrap, events))
    elif name == "send":
        asyncio.run(send(bootstrap, events))
    else:
        records = [said(n) for n in range(events)]
        values = [codec().encode(SAID, record) for record in records]
        with timed():
            if name == "decode":
                for value in values:
                    codec().decode(SAID, value)
            else:
                for record in records:
                    codec().encode(SAID, record)


@contextmanager
def timed() -> Iterator[None]:
    """Print wall clock and CPU seconds of this process."""
    seconds, cpu = time.perf_counter(), time.process_time()
    yield
    print(json.dumps([time.perf_counter() - seconds, time.process_time() - cpu]))


def consume(bootstrap: str, events: int) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False})
    consumer.assign([TopicPartition(SAID.name, partition, 0) for partition in range(PARTITIONS)])
    with timed():
        seen = 0
        while seen < events:
            seen += len([message.value() for message in consumer.consume(500, timeout=1)])
    consumer.close()


async def send(bootstrap: str, events: int) -> None:
    producer = BatchProducer(producer_options(bootstrap, idempotent=False))
    value = encoded(0)
    batches = [
        [Outgoing(MADE, b"call-%d" % (n % KEYS), value, 1_700_000_000_000) for n in range(first, first + 500)]
        for first in range(0, events, 500)
    ]
    with timed():
        for batch in batches:
            await producer.send(batch)
    await producer.stop(5)


async def read_aiokafka(bootstrap: str, events: int) -> None:
    from aiokafka import AIOKafkaConsumer
    from aiokafka import TopicPartition as KafkaTopicPartition

    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign([KafkaTopicPartition(SAID.name, partition) for partition in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        with timed():
            seen = 0
            while seen < events:
                seen += sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))


def worker(name: str, url: str, events: int, folder: Path, group: str) -> tuple[float, float]:
    """Wall clock and CPU seconds of a worker from its first event to its last."""
    report = folder / f"{group}.json"
    env = os.environ | {
        "BENCH_STAGE": name,
        "BENCH_GROUP": group,
        "BENCH_EVENTS": str(events),
        "BENCH_REPORT": str(report),
        "VOICESTREAM_BROKER": url,
        "VOICESTREAM_PARTITIONS": str(PARTITIONS),
    }
    command = [sys.executable, "-m", "faust", "-A", "bench_stages", "worker", "-l", "warn"]
    log = folder / f"{group}.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 120
        while not report.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the worker did not read all events:\n{log.read_text()}")
            time.sleep(0.02)
        seconds, cpu = json.loads(report.read_text())
        return seconds, cpu
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        alone(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
