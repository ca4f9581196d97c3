"""Global tables are read whole before the first record, followed, and stay whole when the broker makes trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.samples import transcript
from voicestream import Stage, Topic, topics
from voicestream.admin import create_topics
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.records import Transcript
from voicestream.streams.message import Outgoing
from voicestream.streams.runtime import global_tables
from voicestream.streams.runtime.environment import Environment
from voicestream.streams.runtime.global_tables import GlobalTables
from voicestream.streams.table import GlobalTable


class Followed:
    """A global table of a topic with two partitions, followed as a worker does."""

    def __init__(self, bootstrap: str, producer: AIOKafkaProducer) -> None:
        self.options = {"bootstrap_servers": bootstrap}
        self.topic: Topic[Transcript] = Topic(f"people-{uuid4().hex[:8]}", Transcript, external=True)
        self.sent: list[Outgoing] = []
        self._producer = producer
        self._stage = Stage("global")
        self.table: GlobalTable[Transcript] = self._stage.global_table(self.topic)
        self.tables = GlobalTables([self._stage], Environment(codec(), topics.dlq), self._send)

    async def put(self, key: str, number: int | None) -> None:
        value = None if number is None else codec().encode(self.topic, transcript(call_id=key, number=number))
        await self._producer.send_and_wait(self.topic.name, value, key.encode())

    def number(self, key: str) -> int | None:
        record = self.table.get(key)
        return None if record is None else record.number

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        work = asyncio.create_task(self.tables.follow(self.options))
        try:
            async with asyncio.timeout(20):
                await self.tables.ready.wait()
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _send(self, messages: Iterable[Outgoing]) -> None:
        self.sent += messages


@pytest.fixture
async def followed(broker: Broker) -> AsyncIterator[Followed]:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        found = Followed(broker.bootstrap, producer)
        await create_topics(broker.bootstrap, {found.topic.name: 2}, replication=1)
        yield found


async def until(said: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not said():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_global_table_is_whole_when_it_is_ready_and_follows_what_comes(followed: Followed):
    for number in range(50):
        await followed.put(f"c{number % 25}", number)
    async with followed.following():
        assert [followed.number(f"c{n}") for n in range(25)] == list(range(25, 50))
        await followed.put("c3", None)
        await followed.put("c4", 99)
        await until(lambda: followed.number("c4") == 99 and followed.number("c3") is None)


async def test_a_global_table_stays_whole_while_it_is_read_again(followed: Followed, monkeypatch: pytest.MonkeyPatch):
    await followed.put("a", 1)
    await followed.put("b", 2)
    monkeypatch.setattr(global_tables, "RETRY_S", 0.0)
    fails = asyncio.Event()
    getmany = AIOKafkaConsumer.getmany
    seen: set[int] = set()

    async def troubled(self: Any, *args: Any, **options: Any) -> Any:
        seen.add(len(followed.table))
        if fails.is_set():
            fails.clear()
            raise KafkaError("trouble")
        return await getmany(self, *args, **options)

    async with followed.following():
        monkeypatch.setattr(AIOKafkaConsumer, "getmany", troubled)
        fails.set()
        await until(lambda: not fails.is_set())
        await followed.put("a", 3)
        await until(lambda: followed.number("a") == 3)
        assert seen == {2}, "it was cleared while agents may join it"


async def test_what_is_no_record_is_a_dead_letter_and_leaves_the_table_as_it_was(followed: Followed):
    await followed.put("a", 1)
    await followed._producer.send_and_wait(followed.topic.name, b"no Avro", b"a")
    async with followed.following():
        await until(lambda: bool(followed.sent))
        assert followed.number("a") == 1
        assert [m.topic for m in followed.sent] == [topics.dlq.name]
