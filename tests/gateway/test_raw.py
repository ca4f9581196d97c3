"""Our own protocol, spoken by a real client to a real gateway before a real broker."""

import asyncio
import time

import pytest
from gateway_helpers import FRAME, Running, frame, new_call_id, receive, receive_until, say_hello
from websockets.exceptions import ConnectionClosed

from voicestream import topics
from voicestream.records import AudioChunk, CallEvent, EndOfCall
from voicestream.streams.record import Record


def is_end(record: Record) -> bool:
    return isinstance(record, EndOfCall) or (isinstance(record, CallEvent) and record.kind == "ended")


async def test_a_call_is_on_the_topics_from_start_to_end(gateway: Running) -> None:
    call_id, before = new_call_id(), time.time_ns() // 1_000_000
    async with gateway.raw(call_id) as socket:
        assert await say_hello(socket) == {
            "type": "welcome",
            "call_id": call_id,
            "next": {"agent": 0, "customer": 0},
        }
        for number in range(12):
            await socket.send(frame(number, 0))
            await socket.send(frame(number, 1, FRAME[::-1]))
        await socket.send('{"type": "dtmf", "digit": "5", "track": "customer"}')
        await socket.send('{"type": "mark", "name": "offer"}')
        await socket.send('{"type": "end"}')
        messages = await receive_until(socket, lambda message: message["type"] == "ended")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000
    assert messages[-1] == {"type": "ended", "call_id": call_id, "reason": "completed", "duration_ms": 240}
    newest = {message["track"]: message["sequence"] for message in messages if message["type"] == "ack"}
    assert newest == {"agent": 11, "customer": 11}

    *chunks, end = await gateway.read(topics.audio, call_id, is_end)
    assert isinstance(end, EndOfCall)
    assert (end.stage, end.reason, end.duration_ms) == ("gateway", "completed", 240)
    agent = [chunk for chunk in chunks if isinstance(chunk, AudioChunk) and chunk.track == "agent"]
    assert [(c.sequence, c.start_ms, c.duration_ms, c.gap_ms) for c in agent] == [
        (0, 0, 100, 0),
        (1, 100, 100, 0),
        (2, 200, 40, 0),
    ]
    assert b"".join(chunk.audio for chunk in agent) == FRAME * 12
    assert {(c.codec, c.sample_rate) for c in agent} == {("mulaw", 8000)}
    assert all(before <= chunk.at_ms <= time.time_ns() // 1_000_000 for chunk in agent)

    events = await gateway.read(topics.calls, call_id, is_end)
    assert [(e.kind, e.sequence, e.value, e.track) for e in events if isinstance(e, CallEvent)] == [
        ("started", 0, None, None),
        ("dtmf", 1, "5", "customer"),
        ("mark", 2, "offer", None),
        ("ended", 3, None, None),
    ]
    started = events[0]
    assert isinstance(started, CallEvent)
    assert started.event_id == f"{call_id}/started/0"
    assert (started.queue, started.agent, started.customer) == ("sales", "Dana", "Mr Poe")
    assert (started.protocol, started.tracks, started.metadata) == (
        "raw",
        ["agent", "customer"],
        {"campaign": "spring"},
    )


@pytest.mark.parametrize(
    ("codec", "rate", "frame_bytes"), [("alaw", 8000, 160), ("pcm16", 16000, 640), ("pcm16", 48000, 1920)]
)
async def test_every_codec_and_rate_is_timed_by_its_samples(
    gateway: Running, codec: str, rate: int, frame_bytes: int
) -> None:
    call_id = new_call_id()
    async with gateway.raw(call_id) as socket:
        await say_hello(socket, tracks=["mono"], codec=codec, sample_rate=rate)
        for number in range(10):
            await socket.send(frame(number, audio=bytes(frame_bytes)))
        await socket.send('{"type": "end", "reason": "hangup"}')
        ended = (await receive_until(socket, lambda message: message["type"] == "ended"))[-1]
    assert (ended["duration_ms"], ended["reason"]) == (200, "hangup")
    chunks = [c for c in await gateway.read(topics.audio, call_id, is_end) if isinstance(c, AudioChunk)]
    assert [(c.start_ms, c.duration_ms, c.sample_rate, len(c.audio)) for c in chunks] == [
        (0, 100, rate, frame_bytes * 5),
        (100, 100, rate, frame_bytes * 5),
    ]


async def test_frames_are_acknowledged_only_when_the_broker_has_them(gateway: Running) -> None:
    call_id = new_call_id()
    async with gateway.raw(call_id) as socket:
        await say_hello(socket, tracks=["mono"])
        for number in range(5):
            await socket.send(frame(number))
        assert await receive(socket) == {"type": "ack", "track": "mono", "sequence": 4}
        on_broker = await gateway.read(topics.audio, call_id, lambda record: isinstance(record, AudioChunk))
        assert len(on_broker) == 1


async def test_a_rest_of_frames_does_not_wait_for_more(gateway: Running) -> None:
    async with gateway.raw(new_call_id()) as socket:
        await say_hello(socket, tracks=["mono"])
        await socket.send(frame(0))
        assert await receive(socket) == {"type": "ack", "track": "mono", "sequence": 0}


async def test_lost_frames_are_kept_as_a_gap_and_chunks_stay_contiguous(gateway: Running) -> None:
    call_id = new_call_id()
    async with gateway.raw(call_id) as socket:
        await say_hello(socket, tracks=["mono"])
        for number in (0, 1, 2, 10, 11, 11, 3, 12, 13, 14):
            await socket.send(frame(number))
        await socket.send('{"type": "end"}')
        ended = (await receive_until(socket, lambda message: message["type"] == "ended"))[-1]
    assert ended["duration_ms"] == 300
    chunks = [c for c in await gateway.read(topics.audio, call_id, is_end) if isinstance(c, AudioChunk)]
    assert [(c.sequence, c.start_ms, c.duration_ms, c.gap_ms) for c in chunks] == [(0, 0, 60, 0), (1, 200, 100, 140)]
    stats = (await gateway.get("/v1/stats")).json()
    assert (stats["gap_ms"], stats["duplicates"]) == (140, 2)


async def test_a_lost_connection_is_resumed_without_loss_or_repetition(gateway: Running) -> None:
    call_id = new_call_id()
    socket = await gateway.raw(call_id)
    await say_hello(socket, tracks=["mono"])
    for number in range(7):
        await socket.send(frame(number, audio=bytes([number]) * 160))
    await receive(socket)
    socket.transport.abort()
    await socket.wait_closed()
    await asyncio.sleep(0.1)
    assert (await gateway.get(f"/v1/calls/{call_id}")).json()["status"] == "disconnected"
    async with gateway.raw(call_id) as again:
        welcome = await say_hello(again, tracks=["mono"], resume=4)
        assert welcome["next"] == {"mono": 7}
        for number in range(5, 12):  # two of them are there already
            await again.send(frame(number, audio=bytes([number]) * 160))
        await again.send('{"type": "end"}')
        messages = await receive_until(again, lambda message: message["type"] == "ended")
    assert max(message["sequence"] for message in messages if message["type"] == "ack") == 11
    records = await gateway.read(topics.audio, call_id, is_end)
    chunks = [record for record in records if isinstance(record, AudioChunk)]
    assert b"".join(c.audio for c in chunks) == b"".join(bytes([number]) * 160 for number in range(12))
    assert [c.sequence for c in chunks] == list(range(len(chunks)))
    assert sum(c.gap_ms for c in chunks) == 0


async def test_a_resume_takes_the_call_from_a_connection_that_hangs(gateway: Running) -> None:
    call_id = new_call_id()
    async with gateway.raw(call_id) as hanging, gateway.raw(call_id) as fresh:
        await say_hello(hanging, tracks=["mono"])
        welcome = await say_hello(fresh, tracks=["mono"], resume=0)
        assert welcome["type"] == "welcome"
        assert (await receive(hanging))["code"] == "call_live"
        await fresh.send(frame(0))
        assert (await receive(fresh))["type"] == "ack"


@pytest.mark.parametrize(("cleanly", "reason"), [(True, "hangup"), (False, "timeout")])
async def test_a_call_that_is_not_resumed_ends_after_the_grace(gateway: Running, cleanly: bool, reason: str) -> None:
    call_id = new_call_id()
    socket = await gateway.raw(call_id)
    await say_hello(socket, tracks=["mono"])
    await socket.send(frame(0))
    if cleanly:
        await socket.close()
    else:
        await receive(socket)
        socket.transport.abort()
    *_, end = await gateway.read(topics.audio, call_id, is_end)
    assert isinstance(end, EndOfCall)
    assert end.reason == reason
    async with gateway.raw(call_id) as late:
        assert (await say_hello(late, tracks=["mono"], resume=0))["code"] == "call_ended"


async def test_ingest_is_measured_from_frame_to_broker(gateway: Running) -> None:
    async with gateway.raw(new_call_id()) as socket:
        await say_hello(socket, tracks=["mono"])
        for number in range(50):
            await socket.send(frame(number))
            await asyncio.sleep(0.004)
        await receive_until(socket, lambda message: message.get("sequence") == 49)
        stats = (await gateway.get("/v1/stats")).json()
    assert stats["active_calls"] == 1
    assert stats["ingest_ms"]["count"] == 10
    assert 0 < stats["ingest_ms"]["p50"] < stats["ingest_first_frame_ms"]["p50"] < 500
    assert stats["frames"] == 50
