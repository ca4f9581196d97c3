"""Without a broker the gateway says so, holds what it can, and takes back-pressure before it loses anything."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from gateway_helpers import create_all, frame, hello, new_call_id, receive, receive_until, say_hello, serving

from voicestream import topics
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import free_port
from voicestream.errors import GatewayError
from voicestream.gateway import GatewayServer, consumer, create_app, producer
from voicestream.gateway.producer import bootstrap_servers
from voicestream.gateway.protocol import MAX_FRAME_BYTES
from voicestream.records import AudioChunk, EndOfCall
from voicestream.settings import Settings


async def test_no_broker_is_said_and_new_calls_are_put_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "PROBE_S", 0.3)
    monkeypatch.setattr(consumer, "ANSWER_S", 0.3)
    nowhere = settings.model_copy(update={"broker": f"kafka://127.0.0.1:{free_port()}"})
    async with serving(nowhere) as gateway:
        ready = await gateway.get("/readyz")
        assert ready.status_code == 503
        assert "does not answer" in ready.json()["reason"]
        assert (await gateway.get("/healthz")).status_code == 200
        async with gateway.raw(new_call_id()) as line:
            await line.send(hello())
            assert (await receive(line))["code"] == "overloaded"
            await line.wait_closed()
            assert line.close_code == 1013


async def test_a_broker_that_is_away_does_not_fill_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "PROBE_S", 0.1)
    monkeypatch.setattr(consumer, "ANSWER_S", 0.1)
    nowhere = settings.model_copy(update={"broker": f"kafka://127.0.0.1:{free_port()}"})
    async with serving(nowhere):
        await asyncio.sleep(2)
    complaints = [record for record in caplog.records if record.name.endswith(".rdkafka")]
    assert len(complaints) <= 6


async def test_a_broker_without_the_topics_is_not_ready(settings: Settings, tmp_path: Path) -> None:
    with Broker(tmp_path / "log") as empty:
        async with serving(settings.model_copy(update={"broker": empty.url})) as gateway:
            assert "no topic voice.audio, voice.calls" in (await gateway.get("/readyz")).json()["reason"]


async def test_a_broker_that_stalls_slows_callers_then_puts_them_off_and_nothing_is_lost(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "ROOM_TIMEOUT_S", 0.3)
    with Broker(tmp_path / "log") as broker:
        await create_all(broker)
        patient = settings.model_copy(update={"broker": broker.url, "gateway_grace_s": 10.0})
        async with serving(patient) as gateway:
            call_id = new_call_id()
            async with gateway.raw(call_id) as line:
                await say_hello(line, tracks=["mono"])
                await line.send(frame(0, audio=bytes(8000)))
                await receive(line)
                os.kill(broker.child.pid, signal.SIGSTOP)
                try:
                    sent = 1
                    while gateway.gateway.producer.queued_bytes < 1024 * 1024:
                        await line.send(frame(sent, audio=bytes([sent % 256]) * MAX_FRAME_BYTES))
                        sent += 1
                        await asyncio.sleep(0.002)
                    assert (await receive(line))["code"] == "overloaded"
                    await line.wait_closed()
                    assert line.close_code == 1013
                finally:
                    os.kill(broker.child.pid, signal.SIGCONT)
            async with gateway.raw(call_id) as line:
                following = (await say_hello(line, tracks=["mono"], resume=0))["next"]["mono"]
                for sequence in range(following, sent + 1):
                    await line.send(frame(sequence, audio=bytes([sequence % 256]) * MAX_FRAME_BYTES))
                await line.send('{"type": "end"}')
                messages = await receive_until(line, lambda message: message["type"] == "ended")
            assert max(m["sequence"] for m in messages if m["type"] == "ack") == sent
            records = await gateway.read(topics.audio, call_id, lambda record: isinstance(record, EndOfCall))
            chunks = [record for record in records if isinstance(record, AudioChunk)]
            assert [chunk.sequence for chunk in chunks] == list(range(sent + 1))
            assert {chunk.gap_ms for chunk in chunks} == {0}


async def test_a_call_whose_audio_is_lost_for_good_ends_and_says_so(settings: Settings, tmp_path: Path) -> None:
    with Broker(tmp_path / "log") as broker:
        await create_all(broker)
        async with serving(settings.model_copy(update={"broker": broker.url})) as gateway:
            call_id = new_call_id()
            async with gateway.raw(call_id) as line:
                await say_hello(line, tracks=["mono"])
                await line.send(frame(0, audio=bytes(800)))
                await receive(line)
                os.kill(broker.child.pid, signal.SIGSTOP)
                try:
                    await line.send(frame(1, audio=bytes(800)))
                    await asyncio.sleep(0.1)
                    gateway.gateway.producer._producer.purge(in_queue=True, in_flight=True)
                    error = await receive(line)
                finally:
                    os.kill(broker.child.pid, signal.SIGCONT)
                assert error["code"] == "internal"
                assert "the broker refused audio" in error["message"]
                await line.wait_closed()
                assert line.close_code == 1011
            async with gateway.raw(call_id) as line:
                assert (await say_hello(line, tracks=["mono"], resume=0))["code"] == "call_ended"
            assert (await gateway.get("/v1/stats")).json()["lost_chunks"] == 1


def test_a_broker_setting_that_is_no_address_is_named(settings: Settings) -> None:
    assert bootstrap_servers("kafka://a:1,b:2") == ("a:1,b:2", False)
    assert bootstrap_servers("embedded://a:1") == ("a:1", True)
    for broker in ("embedded", "http://a:1", "kafka://"):
        with pytest.raises(GatewayError, match="VOICESTREAM_BROKER="):
            create_app(settings.model_copy(update={"broker": broker}))


def test_an_address_that_is_taken_is_named(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(GatewayError, match=f"cannot listen on 127.0.0.1:{port}"):
            GatewayServer(settings.model_copy(update={"gateway_port": port}))
