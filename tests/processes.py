"""What tests with real processes share: a worker as the product runs it, and topics read and written as others do."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from voicestream.embedded.child import Child
from voicestream.streams.avro.codec import Codec
from voicestream.streams.errors import DecodeError
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

PATIENCE_S = 90.0  # the machine may be busy


def wait_until(what: str, ready: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """What ``ready`` returns, once that is true."""
    deadline = time.monotonic() + within_s
    while not (result := ready()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.05)
    return result


class Worker:
    """``faust -A APP worker`` as a process; ``app`` is ``agents.NAME`` unless it is given."""

    def __init__(self, name: str, folder: Path, app: str | None = None, **env: str) -> None:
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
        faust = [sys.executable, "-m", "faust", "--datadir", str(folder / "faust"), "-A", app or f"agents.{name}"]
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

    def freeze(self) -> None:
        """Stop it where it is, as a machine that sleeps; ``thaw`` lets it go on."""
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._child.pid, signal.SIGCONT)

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


class Topics:
    """Sends to the topics of a broker and reads them from their beginning."""

    def __init__(self, bootstrap: str, codec: Codec, **producer: Any) -> None:
        """``producer`` has settings of librdkafka, with ``_`` for the dots."""
        self._codec = codec
        options = {"bootstrap.servers": bootstrap}
        more = {name.replace("_", "."): value for name, value in producer.items()}
        self._producer = Producer({**options, "partitioner": "murmur2_random", "linger.ms": 0, **more})
        self._options = {**options, "group.id": "test", "fetch.wait.max.ms": 50, "enable.auto.commit": False}
        self._options["enable.partition.eof"] = True  # the end as fetches see it; a broker may be asked in vain

    def send(self, topic: Topic[Any], *records: Record) -> None:
        for record in records:
            self._producer.produce(topic.name, self._codec.encode(topic, record), key=record.key)
        assert self._producer.flush(30) == 0

    def send_raw(
        self, topic: Topic[Any], key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> tuple[int, int]:
        """Partition and offset of the message."""
        where: list[tuple[int, int]] = []

        def sent(error: Any, message: Message) -> None:
            assert error is None
            where.append((message.partition(), message.offset()))

        self._producer.produce(topic.name, value, key=key, on_delivery=sent, headers=list(headers))
        assert self._producer.flush(30) == 0
        return where[0]

    def messages(self, topic: str) -> Iterator[Message | None]:
        """The messages of a topic as they come, and None whenever we are at its end; stops with the patience."""
        consumer = Consumer(self._options)
        deadline = time.monotonic() + PATIENCE_S
        try:
            partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
            at_end: set[int] = set()
            while time.monotonic() < deadline:
                for message in consumer.consume(200, 0.1):
                    if message.error() is not None:
                        at_end.add(message.partition())
                        continue
                    at_end.discard(message.partition())
                    yield message
                if len(at_end) == len(partitions):
                    yield None
        finally:
            consumer.close()

    def read(self, topic: Topic[Any]) -> Iterator[Record | None]:
        """The records in those messages, and None as there; what is no record is left out."""
        for message in self.messages(topic.name):
            if message is None:
                yield None
                continue
            with suppress(DecodeError):
                yield self._codec.decode(topic, message.value())

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
