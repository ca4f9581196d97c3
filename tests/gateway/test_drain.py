"""A gateway that is told to stop lets its calls end."""

import asyncio
import os
import signal
import sys
import time

from gateway_helpers import Running, frame, hello, new_call_id, read_call, receive, receive_until, say_hello, serving
from websockets.asyncio.client import connect

from voicestream import topics
from voicestream.records import CallEvent, EndOfCall
from voicestream.settings import Settings

PROGRAM = """
from voicestream.gateway import GatewayServer
from voicestream.settings import Settings
server = GatewayServer(Settings(_env_file=None))
print(server.port, flush=True)
server.run()
"""


async def test_drain_refuses_new_calls_and_ends_the_old_ones(settings: Settings) -> None:
    call_id = new_call_id()
    async with serving(settings) as gateway, gateway.raw(call_id) as socket:
        await say_hello(socket, tracks=["mono"])
        await socket.send(frame(0))
        gateway.server.drain_and_stop()
        await asyncio.sleep(0)
        ready = await gateway.get("/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "draining")
        async with gateway.raw(new_call_id()) as late:
            await late.send(hello())
            assert (await receive(late))["code"] == "draining"
            await late.wait_closed()
            assert late.close_code == 1012
        ended = (await receive_until(socket, lambda message: message["type"] == "ended"))[-1]
        assert ended["reason"] == "drain"
        await socket.wait_closed()
        assert socket.close_code == 1012
        await assert_ended(gateway, call_id, "drain")


async def test_drain_waits_for_calls_to_end(settings: Settings) -> None:
    call_id = new_call_id()
    patient = settings.model_copy(update={"gateway_drain_s": 30.0})
    async with serving(patient) as gateway, gateway.raw(call_id) as socket:
        await say_hello(socket, tracks=["mono"])
        gateway.server.drain_and_stop()
        await asyncio.sleep(0.2)
        await socket.send(frame(0))
        assert (await receive(socket))["type"] == "ack"
        await socket.send('{"type": "end"}')
        assert (await receive(socket))["reason"] == "completed"
        await assert_ended(gateway, call_id, "completed")


async def assert_ended(gateway: Running, call_id: str, reason: str) -> None:
    *_, end = await gateway.read(topics.audio, call_id, lambda record: isinstance(record, EndOfCall))
    assert isinstance(end, EndOfCall)
    assert end.reason == reason


async def test_sigterm_drains_flushes_and_exits_with_0(settings: Settings) -> None:
    environment = {
        **os.environ,
        "VOICESTREAM_BROKER": settings.broker,
        "VOICESTREAM_GATEWAY_PORT": "0",
        "VOICESTREAM_GATEWAY_DRAIN_S": "0.3",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        call_id = new_call_id()
        address = f"ws://127.0.0.1:{port}/v1"
        async with connect(f"{address}/feed", proxy=None), connect(f"{address}/calls/{call_id}", proxy=None) as socket:
            await say_hello(socket, tracks=["mono"])
            for number in range(4):
                await socket.send(frame(number))
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            messages = await receive_until(socket, lambda message: message["type"] == "ended")
        assert messages[-1]["reason"] == "drain"
        _, errors = await asyncio.wait_for(process.communicate(), 15)
        assert (process.returncode, errors) == (0, b"")
        assert 0.3 <= time.monotonic() - began < 10
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    servers = settings.broker.partition("://")[2]
    audio = await asyncio.to_thread(read_call, servers, topics.audio, call_id, lambda r: isinstance(r, EndOfCall))
    assert len(audio) == 2
    events = await asyncio.to_thread(
        read_call, servers, topics.calls, call_id, lambda r: isinstance(r, CallEvent) and r.kind == "ended"
    )
    assert isinstance(events[-1], CallEvent)
    assert events[-1].reason == "drain"
