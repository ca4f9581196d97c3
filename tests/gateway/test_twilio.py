"""Twilio Media Streams, message by message as Twilio sends them."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from gateway_helpers import FRAME, Running, new_call_id, receive, serving, twilio_media, twilio_start

from voicestream import topics
from voicestream.records import AudioChunk, CallEvent, EndOfCall
from voicestream.settings import Settings
from voicestream.streams.record import Record

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(settings: Settings) -> AsyncIterator[Running]:
    async with serving(settings) as running:
        yield running


CONNECTED = '{"event": "connected", "protocol": "Call", "version": "1.0.0"}'
STOP = '{"event": "stop", "sequenceNumber": "9", "streamSid": "MZ1", "stop": {"accountSid": "AC1", "callSid": "x"}}'


def is_end(record: Record) -> bool:
    return isinstance(record, EndOfCall) or (isinstance(record, CallEvent) and record.kind == "ended")


async def chunks_of(gateway: Running, call_id: str) -> list[AudioChunk]:
    return [c for c in await gateway.read(topics.audio, call_id, is_end) if isinstance(c, AudioChunk)]


async def test_a_stream_becomes_a_call(gateway: Running) -> None:
    sid = new_call_id()
    async with gateway.twilio() as socket:
        await socket.send(CONNECTED)
        await socket.send(twilio_start(sid))
        for chunk in range(1, 8):
            await socket.send(twilio_media("inbound", chunk))
            await socket.send(twilio_media("outbound", chunk, audio=FRAME[::-1]))
        await socket.send(
            json.dumps({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": "1"}})
        )
        await socket.send(json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": "hello"}}))
        await socket.send(STOP)
        await socket.wait_closed()
    assert socket.close_code == 1000
    records = await gateway.read(topics.audio, sid, is_end)
    assert isinstance(records[-1], EndOfCall)
    assert (records[-1].duration_ms, records[-1].reason) == (140, "completed")
    chunks = [record for record in records if isinstance(record, AudioChunk)]
    for track, audio in (("customer", FRAME), ("agent", FRAME[::-1])):
        own = [chunk for chunk in chunks if chunk.track == track]
        assert [(c.sequence, c.start_ms, c.duration_ms) for c in own] == [(0, 0, 100), (1, 100, 40)]
        assert b"".join(c.audio for c in own) == audio * 7
        assert {(c.codec, c.sample_rate) for c in own} == {("mulaw", 8000)}
    events = [e for e in await gateway.read(topics.calls, sid, is_end) if isinstance(e, CallEvent)]
    assert [(e.kind, e.value, e.track) for e in events] == [
        ("started", None, None),
        ("dtmf", "1", "customer"),
        ("mark", "hello", None),
        ("ended", None, None),
    ]
    assert (events[0].queue, events[0].agent, events[0].customer) == ("support", "Ann", "+43 1 5")
    assert events[0].metadata == {"vip": "yes", "stream_sid": "MZ1", "account_sid": "AC1"}
    assert (events[0].protocol, events[0].tracks) == ("twilio", ["customer", "agent"])


async def test_lost_media_and_silence_of_the_line_are_gaps(gateway: Running) -> None:
    sid = new_call_id()
    async with gateway.twilio() as socket:
        await socket.send(twilio_start(sid, tracks=["inbound"]))
        await socket.send(twilio_media("inbound", 1))
        await socket.send(twilio_media("inbound", 4))  # two were lost
        await socket.send(twilio_media("inbound", 5, timestamp=1080))  # none was lost, but a second passed
        await socket.send(twilio_media("inbound", 5, timestamp=1080))  # again
        await socket.send(STOP)
        await socket.wait_closed()
    assert [(c.start_ms, c.duration_ms, c.gap_ms) for c in await chunks_of(gateway, sid)] == [
        (0, 20, 0),
        (60, 20, 40),
        (1080, 20, 1000),
    ]


async def test_a_broken_stream_goes_on_in_its_place(gateway: Running) -> None:
    sid = new_call_id()
    async with gateway.twilio() as socket:
        await socket.send(twilio_start(sid, tracks=["inbound"]))
        await socket.send(twilio_media("inbound", 1))
    async with gateway.twilio() as socket:
        await socket.send(twilio_start(sid, tracks=["inbound"], streamSid="MZ2"))
        await socket.send(twilio_media("inbound", 1, timestamp=300))
        await socket.send(STOP)
        await socket.wait_closed()
    first, second = await chunks_of(gateway, sid)
    assert (first.sequence, first.start_ms) == (0, 0)
    assert second.sequence == 1
    assert 300 <= second.start_ms < 2000
    assert second.gap_ms == second.start_ms - 20


async def test_a_further_stream_of_a_call_that_has_ended_is_a_call_of_its_own(gateway: Running) -> None:
    sid = new_call_id()
    for _ in range(2):
        async with gateway.twilio() as socket:
            await socket.send(twilio_start(sid))
            await socket.send(twilio_media("inbound", 1))
            await socket.send(STOP)
            await socket.wait_closed()
    assert [c.sequence for c in await chunks_of(gateway, f"{sid}.2")] == [0]


async def test_a_stream_that_ends_without_stop_ends_after_the_grace(gateway: Running) -> None:
    sid = new_call_id()
    async with gateway.twilio() as socket:
        await socket.send(twilio_start(sid))
        await socket.send(twilio_media("inbound", 1))
    *_, end = await gateway.read(topics.audio, sid, is_end)
    assert isinstance(end, EndOfCall)
    assert end.reason == "hangup"


async def test_a_second_stream_of_a_live_call_is_refused(gateway: Running) -> None:
    sid = new_call_id()
    async with gateway.twilio() as first, gateway.twilio() as second, gateway.feed(f"?call_id={sid}") as watch:
        await receive(watch)
        await first.send(twilio_start(sid))
        assert (await receive(watch))["kind"] == "started"
        await second.send(twilio_start(sid))
        assert (await receive(second))["code"] == "call_live"
