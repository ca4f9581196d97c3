"""Events a second through a worker process on the embedded broker: ``python benchmarks/worker.py [EVENTS]``.

Three stages, one after the other: a record is read and nothing done; a record makes a record; a record updates keyed
state and makes a record. Broker, worker and this process share the machine; the CPU time is the worker's alone.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from voicestream import topics
from voicestream.admin import create_topics
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.testing import transcript

PARTITIONS = 8

STAGES = """
import msgspec
from voicestream import Stage, State, topics
from voicestream.records import Insight, Transcript

class Count(msgspec.Struct):
    n: int = 0

read, make, count = Stage("read"), Stage("make"), Stage("count")
counts = count.store("counts", Count)

@read.agent(topics.transcripts, out=topics.insights)
async def nothing(said: Transcript) -> Insight | None:
    return Insight.of(said, kind="read") if said.call_id == "end" else None

@make.agent(topics.transcripts, out=topics.insights)
async def one(said: Transcript) -> Insight:
    return Insight.of(said, kind="made")

@count.agent(topics.transcripts, out=topics.insights, state=counts)
async def add(said: Transcript, state: State[Count]) -> Insight:
    state.value = Count((state.value.n if state.value else 0) + 1)
    return Insight.of(said, kind="counted", label=str(state.value.n))

import os
app = {"read": read, "make": make, "count": count}[os.environ["STAGE"]].app()
"""


def main(events: int) -> None:
    for stage, what in (
        ("read", "decode, call"),
        ("make", "decode, call, send"),
        ("count", "decode, call, state, send"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu = measure(stage, events, Path(folder))
        print(f"{what:26} {events / seconds:9,.0f} events/s {1e6 * cpu / events:8.1f} µs of CPU an event")


def measure(stage: str, events: int, folder: Path) -> tuple[float, float]:
    """Wall clock and CPU seconds that the worker takes for what waits in the topic when it starts to read."""
    (folder / "bench_stages.py").write_text(STAGES)
    with Broker(folder / "broker.log") as broker:
        asyncio.run(create_topics(broker.bootstrap, {t.name: PARTITIONS for t in topics.ALL}, replication=1))
        ready = folder / "ready"
        env = os.environ | {"STAGE": stage, "VOICESTREAM_BROKER": broker.url, "VOICESTREAM_READY_FILE": str(ready)}
        worker = subprocess.Popen(
            [sys.executable, "-m", "faust", "-A", "bench_stages", "worker", "-l", "warn"],
            cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not ready.exists():
                time.sleep(0.05)
            idle = cpu_seconds(worker.pid)
            produce(broker.bootstrap, events)
            seconds = wait(broker.bootstrap)
            return seconds, cpu_seconds(worker.pid) - idle
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait()


def produce(bootstrap: str, events: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 5})
    for n in range(events):
        call = f"call-{n % 200}"
        said = transcript(call_id=call, utterance_id=f"{call}/agent/{n}", number=n, text="I will think about it.")
        producer.produce(topics.transcripts.name, key=call, value=codec().encode(topics.transcripts, said))
        if n % 1000 == 0:
            producer.poll(0)
    producer.flush()
    for n in range(64):  # one call a partition or more: each partition ends with an event that is answered
        end = transcript(call_id="end", utterance_id=f"end/agent/{n}", number=n)
        producer.produce(topics.transcripts.name, key=f"end-{n}", value=codec().encode(topics.transcripts, end))
    producer.flush()


def wait(bootstrap: str) -> float:
    """Seconds until the answers to the last events are there."""
    started = time.perf_counter()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topics.insights.name, partition, 0) for partition in range(PARTITIONS)])
    ends: set[str] = set()
    while len(ends) < 64:
        for message in consumer.consume(1000, timeout=0.2):
            record = codec().decode(topics.insights, message.value())
            if record.call_id == "end":
                ends.add(record.utterance_id)
    consumer.close()
    return time.perf_counter() - started


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
