"""A running gateway, clients of it, and a look at what it put on the topics."""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from websockets.asyncio.client import ClientConnection, connect

from voicestream import topics
from voicestream.admin import create_topics
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.gateway import GatewayServer
from voicestream.gateway.gateway import Gateway
from voicestream.gateway.protocol import Frame, pack_frame
from voicestream.settings import Settings
from voicestream.streams.record import Record
from voicestream.streams.topic import Topic

FRAME = bytes(range(160))  # 20 ms of mu-law, recognisable


def new_call_id() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


async def create_all(broker: Broker) -> None:
    """The topics of the product, on ``broker``."""
    await create_topics(broker.bootstrap, {topic.name: 3 for topic in topics.ALL}, replication=1)


class Running:
    """A gateway that serves."""

    def __init__(self, server: GatewayServer, servers: str) -> None:
        self.server = server
        self.servers = servers
        self.http = server.url
        self.ws = server.url.replace("http", "ws")
        self.gateway: Gateway = server._gateway

    def raw(self, call_id: str, **options: Any) -> connect:
        return connect(f"{self.ws}/v1/calls/{call_id}", compression=None, proxy=None, **options)

    def twilio(self) -> connect:
        return connect(f"{self.ws}/v1/twilio", compression=None, proxy=None)

    def feed(self, query: str = "", **options: Any) -> connect:
        return connect(f"{self.ws}/v1/feed{query}", compression=None, proxy=None, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.http, trust_env=False) as client:
            return await client.get(path, **options)

    async def read(self, topic: Topic[Any], call_id: str, until: Callable[[Record], bool]) -> list[Record]:
        """The records of a call, up to the one that ``until`` accepts."""
        return await asyncio.to_thread(read_call, self.servers, topic, call_id, until)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Running]:
    server = GatewayServer(settings)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
            if task.done():
                task.result()
        yield Running(server, settings.broker.partition("://")[2])
    finally:
        server.should_exit = True
        await task


def read_call(servers: str, topic: Topic[Any], call_id: str, until: Callable[[Record], bool]) -> list[Record]:
    options = {"bootstrap.servers": servers, "group.id": "test", "fetch.wait.max.ms": 20, "enable.auto.commit": False}
    consumer = Consumer(options)
    try:
        partitions = consumer.list_topics(topic.name, timeout=5).topics[topic.name].partitions
        consumer.assign([TopicPartition(topic.name, number, OFFSET_BEGINNING) for number in partitions])
        records: list[Record] = []
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for message in consumer.consume(500, timeout=0.1):
                assert message.error() is None
                record = codec().decode(topic, message.value())
                if record.key == call_id:
                    records.append(record)
                    if until(record):
                        return records
        raise AssertionError(f"not on {topic.name} in time; there were {records}")
    finally:
        consumer.close()


def publish(servers: str, *pairs: tuple[Topic[Any], Record]) -> None:
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random", "linger.ms": 0})
    for topic, record in pairs:
        producer.produce(topic.name, codec().encode(topic, record), key=record.key)
    assert producer.flush(10) == 0


def hello(**changes: Any) -> str:
    message: dict[str, Any] = {
        "type": "hello",
        "tracks": ["agent", "customer"],
        "codec": "mulaw",
        "sample_rate": 8000,
        "queue": "sales",
        "agent": "Dana",
        "customer": "Mr Poe",
        "metadata": {"campaign": "spring"},
    }
    return json.dumps(message | changes)


async def say_hello(socket: ClientConnection, **changes: Any) -> dict[str, Any]:
    await socket.send(hello(**changes))
    return await receive(socket)


async def receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 10))
    return message


async def receive_until(socket: ClientConnection, accept: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    messages = []
    while not messages or not accept(messages[-1]):
        messages.append(await receive(socket))
    return messages


def frame(sequence: int, track: int = 0, audio: bytes = FRAME) -> bytes:
    return pack_frame(Frame(track, sequence, audio))


def twilio_start(call_sid: str, **changes: Any) -> str:
    start: dict[str, Any] = {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": call_sid,
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"queue": "support", "agent": "Ann", "customer": "+43 1 5", "vip": "yes"},
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start | changes})


def twilio_media(track: str, chunk: int, timestamp: int | None = None, audio: bytes = FRAME) -> str:
    media = {
        "track": track,
        "chunk": str(chunk),
        "timestamp": str((chunk - 1) * 20 if timestamp is None else timestamp),
        "payload": base64.b64encode(audio).decode(),
    }
    return json.dumps({"event": "media", "sequenceNumber": str(chunk + 1), "streamSid": "MZ1", "media": media})


def settings_for(broker: Broker) -> Settings:
    """Settings of a gateway that waits for nothing long."""
    return Settings(
        _env_file=None,
        broker=broker.url,
        gateway_port=0,
        gateway_grace_s=0.5,
        gateway_drain_s=0.5,
        gateway_buffer_mb=1,
        api_keys="",
    )
