"""Calls are played in real time, whole, over both protocols, to a real gateway with a real broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from aiokafka import AIOKafkaConsumer, TopicPartition

from voicestream import topics
from voicestream.admin import create_topics
from voicestream.client import Call, Protocol, play, play_all
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import free_port
from voicestream.errors import AudioFileError, CallError
from voicestream.gateway import GatewayServer
from voicestream.records import AudioChunk, CallEvent
from voicestream.settings import Settings

RATE, SECONDS = 8000, 1.0
PARTITIONS = Settings(_env_file=None).partitions


@pytest.fixture
async def gateway(broker: Broker) -> AsyncIterator[GatewayServer]:
    await create_topics(broker.bootstrap, {topic.name: PARTITIONS for topic in topics.ALL}, replication=1)
    settings = Settings(_env_file=None, broker=broker.url, gateway_port=0, gateway_drain_s=0.5)
    server = GatewayServer(settings)
    running = asyncio.create_task(server.serve())
    yield server
    server.drain_and_stop()
    await running


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(7).normal(0, 0.1, (int(RATE * SECONDS), 2))
    soundfile.write(tmp_path / "two sides.wav", noise, RATE)
    return tmp_path / "two sides.wav"


async def read(broker: Broker, topic: topics.Topic, call_id: str) -> list:
    """Everything on ``topic`` of one call."""
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        consumer.assign([TopicPartition(topic.name, partition) for partition in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        found = []
        while batch := await consumer.getmany(timeout_ms=500):
            records = [codec().decode(topic, message.value) for messages in batch.values() for message in messages]
            found += [record for record in records if record.call_id == call_id]
        return found


async def audio_of(broker: Broker, call: Call) -> dict[str, bytes]:
    chunks = [record for record in await read(broker, topics.audio, call.call_id) if isinstance(record, AudioChunk)]
    return {track: b"".join(chunk.audio for chunk in chunks if chunk.track == track) for track in call.frames}


def sent(call: Call) -> dict[str, bytes]:
    return {track: b"".join(frames) for track, frames in call.frames.items()}


@pytest.mark.parametrize("protocol", ["twilio", "raw"])
async def test_every_frame_reaches_the_broker_in_real_time(
    gateway: GatewayServer, broker: Broker, stereo: Path, protocol: Protocol
) -> None:
    call = Call.of_file(stereo, queue="sales", agent="Dana", customer="Mark", metadata={"from": "+1"})
    played = await play(call, gateway.url, protocol=protocol)
    assert played.frames == 2 * SECONDS * 50
    assert SECONDS - 0.02 <= played.took_s < SECONDS + 1.0
    assert await audio_of(broker, call) == sent(call)
    events = await read(broker, topics.calls, call.call_id)
    assert [event.kind for event in events] == ["started", "ended"]
    started: CallEvent = events[0]
    assert (started.queue, started.agent, started.customer) == ("sales", "Dana", "Mark")
    assert started.metadata["from"] == "+1"
    assert bool(played.ack_ms) == (protocol == "raw")


async def test_several_calls_at_twice_the_speed(gateway: GatewayServer, stereo: Path) -> None:
    calls = [Call.of_file(stereo) for _ in range(4)]
    played = await play_all(calls, gateway.url, protocol="raw", speed=2.0)
    assert {p.call_id for p in played} == {call.call_id for call in calls}
    assert all(p.took_s < SECONDS for p in played)


async def test_a_lost_connection_is_resumed_and_no_frame_is_lost(
    gateway: GatewayServer, broker: Broker, stereo: Path
) -> None:
    call = Call.of_file(stereo)
    async with cutting_line(gateway.port, after_bytes=8000) as port:
        played = await play(call, f"ws://127.0.0.1:{port}", protocol="raw")
    assert played.reconnects == 1
    assert await audio_of(broker, call) == sent(call)


@contextlib.asynccontextmanager
async def cutting_line(port: int, after_bytes: int) -> AsyncIterator[int]:
    """A line to ``port`` whose first connection breaks after ``after_bytes`` from the client."""
    budget = after_bytes

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: bool) -> None:
        nonlocal budget
        with contextlib.suppress(OSError):
            while data := await reader.read(1024):
                writer.write(data)
                await writer.drain()
                if counted and budget > 0:
                    budget -= len(data)
                    if budget <= 0:
                        break
        writer.transport.abort()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.wait(
            [asyncio.create_task(pump(reader, far_writer, True)), asyncio.create_task(pump(far_reader, writer, False))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        writer.transport.abort()
        far_writer.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_what_the_gateway_refuses_is_said(gateway: GatewayServer, stereo: Path) -> None:
    call = Call.of_file(stereo, call_id="no such id!")
    with pytest.raises(CallError, match=r"no such id!.*bad_call_id"):
        await play(call, gateway.url, protocol="twilio")


async def test_no_gateway_is_said(stereo: Path) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    with pytest.raises(CallError, match=f"to {url}: no gateway answers there"):
        await play(Call.of_file(stereo), url)


async def test_a_url_that_is_none_is_said(stereo: Path) -> None:
    with pytest.raises(CallError, match="'ftp://x' is no address of a gateway"):
        await play(Call.of_file(stereo), "ftp://x")


def test_a_mono_flac_of_another_rate_is_one_track(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mono.flac", np.zeros(44100), 44100)
    call = Call.of_file(tmp_path / "mono.flac")
    assert list(call.frames) == ["mono"]
    assert call.duration_s == 1.0
    assert {len(frame) for frame in call.frames["mono"]} == {160}


def test_a_file_without_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("hello")
    with pytest.raises(AudioFileError, match=r"notes\.wav"):
        Call.of_file(tmp_path / "notes.wav")
