"""The whole thing in real processes: a broker, a ClickHouse server, and each stage as a worker of its own."""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from voicestream.client.call import FRAME_MS, Call
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import Child, free_port
from voicestream.records import AudioChunk, CallEvent, EndOfCall
from voicestream.sinks.clickhouse import ClickHouse
from voicestream.streams.errors import DecodeError
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

ROOT = Path(__file__).parents[2]
CALLS = ROOT / "examples" / "calls" / "audio"
STAGES = ("chunking", "stt", "sentiment", "insights", "routing", "analytics", "results", "clickhouse")
PATIENCE_S = 90.0  # the machine may be busy
CHUNK_FRAMES = 5


def wait_until(what: str, ready: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """What ``ready`` returns, once that is true."""
    deadline = time.monotonic() + within_s
    while not (result := ready()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.05)
    return result


class Worker:
    """``faust -A agents.NAME worker`` as a process."""

    def __init__(self, name: str, folder: Path, **env: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._ready = folder / f"{name}.ready"
        self._env = {
            "VOICESTREAM_READY_FILE": str(self._ready),
            "VOICESTREAM_PARTITIONS": "4",
            "VOICESTREAM_STT_WORKERS": "1",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "PYTHONUNBUFFERED": "1",
            **env,
        }
        faust = [sys.executable, "-m", "faust", "--datadir", str(folder / "faust"), "-A", f"agents.{name}"]
        self._command = [*faust, "worker", "-l", "info", "--without-web"]
        self.start()

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        self._child = Child(f"worker {self.name}", self._command, self.log, self._env)
        self._child.start()

    def wait_ready(self) -> None:
        self._child.wait_ready(self._ready.exists, PATIENCE_S)

    @property
    def alive(self) -> bool:
        return self._child.alive

    def kill(self) -> None:
        os.kill(self._child.pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def terminate(self) -> None:
        os.kill(self._child.pid, signal.SIGTERM)

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """The exit code."""
        process = self._child._process
        assert process is not None
        return process.wait(within_s)

    def stop(self) -> None:
        if self.alive:
            self.kill()

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Server:
    """The embedded ClickHouse server; it can be killed and started again on the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"
        self.start()

    def start(self) -> None:
        port_file = self._folder / "clickhouse.port"
        port_file.unlink(missing_ok=True)
        module = [sys.executable, "-m", "voicestream.embedded.clickhouse_server"]
        arguments = ["--path", str(self._folder / "data"), "--port", self._port, "--port-file", str(port_file)]
        self.process = Child("ClickHouse", [*module, *arguments], self._folder / "clickhouse.log")
        self.process.start()
        self.process.wait_ready(port_file.exists, PATIENCE_S)
        self._port = port_file.read_text().strip()

    @property
    def setting(self) -> str:
        return f"clickhouse://127.0.0.1:{self._port}/default"


class Topics:
    """Sends to the topics of a broker and reads them from their beginning."""

    def __init__(self, broker: Broker) -> None:
        options = {"bootstrap.servers": broker.bootstrap}
        self._producer = Producer({**options, "partitioner": "murmur2_random", "linger.ms": 0})
        self._options = {**options, "group.id": "test", "fetch.wait.max.ms": 50, "enable.auto.commit": False}
        self._options["enable.partition.eof"] = True  # the end as fetches see it; a broker may be asked in vain

    def send(self, topic: Topic[Any], *records: Record) -> None:
        for record in records:
            self._producer.produce(topic.name, codec().encode(topic, record), key=record.key)
        assert self._producer.flush(30) == 0

    def send_raw(self, topic: Topic[Any], key: str, value: bytes) -> tuple[int, int]:
        """Partition and offset of the message."""
        where: list[tuple[int, int]] = []

        def sent(error: Any, message: Message) -> None:
            assert error is None
            where.append((message.partition(), message.offset()))

        self._producer.produce(topic.name, value, key=key, on_delivery=sent)
        assert self._producer.flush(30) == 0
        return where[0]

    def read(self, topic: Topic[Any]) -> Iterator[Record | None]:
        """The records of a topic as they come, and None whenever we are at its end; stops with the patience."""
        consumer = Consumer(self._options)
        deadline = time.monotonic() + PATIENCE_S
        try:
            partitions = consumer.list_topics(topic.name, timeout=30).topics[topic.name].partitions
            consumer.assign([TopicPartition(topic.name, number, OFFSET_BEGINNING) for number in partitions])
            at_end: set[int] = set()
            while time.monotonic() < deadline:
                for message in consumer.consume(200, 0.1):
                    if message.error() is not None:
                        at_end.add(message.partition())
                        continue
                    at_end.discard(message.partition())
                    with suppress(DecodeError):
                        yield codec().decode(topic, message.value())
                if len(at_end) == len(partitions):
                    yield None
        finally:
            consumer.close()

    def until(self, topic: Topic[Any], call_id: str, enough: Callable[[list[Any]], Any]) -> list[Any]:
        """The records of a call, as soon as there are enough of them."""
        found: list[Any] = []
        for record in self.read(topic):
            if record is None:
                if enough(found):
                    return found
            elif getattr(record, "call_id", None) == call_id:
                found.append(record)
        raise AssertionError(f"call {call_id}: not in time on {topic.name}; there were {found}")

    def everything(self, topic: Topic[Any]) -> list[Any]:
        """The records that are there."""
        return list(takewhile(lambda record: record is not None, self.read(topic)))


class Cluster:
    """Everything that a call needs, on loopback."""

    def __init__(self, folder: Path, broker: Broker, clickhouse: str, **env: str) -> None:
        self.folder = folder
        self.topics = Topics(broker)
        self.clickhouse = ClickHouse(clickhouse)
        self.env = {"VOICESTREAM_BROKER": broker.url, "VOICESTREAM_CLICKHOUSE": clickhouse, **env}
        self.workers: dict[str, Worker] = {}
        self.metrics_ports: dict[str, str] = {}

    def start(self, names: Iterable[str]) -> None:
        """Start workers at once, and wait until all are ready."""
        for name in names:
            port = str(free_port())
            self.metrics_ports[name] = port
            self.workers[name] = Worker(name, self.folder, **self.env, VOICESTREAM_METRICS_PORT=port)
        for worker in self.workers.values():
            worker.wait_ready()

    def kill(self, *names: str) -> None:
        for name in names:
            self.workers[name].kill()

    def restart(self, *names: str) -> None:
        """Start killed workers again; they take over when they are ready."""
        for name in names:
            self.workers[name].start()

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()
        self.clickhouse.close()

    def metrics(self, name: str) -> dict[str, float]:
        """What a worker tells Prometheus, by metric with its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_ports[name]}/metrics", timeout=10) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {metric: float(value) for metric, _, value in (line.rpartition(" ") for line in lines)}

    def lag(self, name: str) -> float:
        return sum(value for metric, value in self.metrics(name).items() if metric.startswith("voicestream_agent_lag{"))

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.clickhouse.query(sql, parameters).rows


class Script:
    """Some seconds of an example call, as the records that a gateway makes of them."""

    def __init__(self, file: str, call_id: str, started_at_ms: int, *, from_s: float, seconds: float) -> None:
        self.call_id = call_id
        self.queue, self.agent = "sales", f"agent of {call_id}"
        self._at_ms = started_at_ms
        self._duration_ms = int(seconds * 1000)
        first = round(from_s * 1000) // FRAME_MS
        self._frames = {track: frames[first:] for track, frames in Call.of_file(CALLS / file).frames.items()}

    def event(self, kind: str, sequence: int, **fields: Any) -> CallEvent:
        return CallEvent(
            event_id=f"{self.call_id}/{kind}/{sequence}",
            call_id=self.call_id,
            kind=kind,
            sequence=sequence,
            at_ms=self._at_ms,
            protocol="raw",
            queue=self.queue,
            agent=self.agent,
            customer="Dana",
            **fields,
        )

    def audio(self, from_s: float, to_s: float) -> list[AudioChunk]:
        """The chunks of 100 ms of both tracks that begin in this stretch."""
        chunk_ms = CHUNK_FRAMES * FRAME_MS
        chunks = []
        for number in range(round(from_s * 1000) // chunk_ms, min(round(to_s * 1000), self._duration_ms) // chunk_ms):
            for track, frames in self._frames.items():
                audio = b"".join(frames[number * CHUNK_FRAMES : (number + 1) * CHUNK_FRAMES])
                chunks.append(
                    AudioChunk(
                        call_id=self.call_id,
                        track=track,
                        sequence=number,
                        start_ms=number * chunk_ms,
                        duration_ms=chunk_ms,
                        at_ms=self._at_ms + (number + 1) * chunk_ms,
                        codec="mulaw",
                        sample_rate=8000,
                        audio=audio,
                    )
                )
        return chunks

    def end(self) -> EndOfCall:
        return EndOfCall(
            call_id=self.call_id,
            stage="gateway",
            at_ms=self._at_ms + self._duration_ms,
            duration_ms=self._duration_ms,
            reason="completed",
        )
