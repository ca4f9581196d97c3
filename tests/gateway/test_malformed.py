"""Whatever a client sends, it gets a code and a reason, and the gateway goes on."""

import contextlib
import json
import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from gateway_helpers import Running, frame, hello, new_call_id, receive, say_hello, serving, twilio_media, twilio_start
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voicestream.gateway import connection
from voicestream.gateway.protocol import MAX_FRAME_BYTES
from voicestream.settings import Settings

# One gateway for all of them: it has to outlive whatever they send.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(settings: Settings) -> AsyncIterator[Running]:
    async with serving(settings) as running:
        yield running


BEFORE_HELLO = {
    "text that is no JSON": ("hello?", "bad_json", 1007),
    "half a JSON": ('{"type": "hello", "tra', "bad_json", 1007),
    "nothing": ("", "bad_json", 1007),
    "a list": ("[1, 2]", "bad_message", 4400),
    "nested without end": ('{"type": "end", "x": ' + "[" * 60_000, "bad_json", 1007),
    "unknown type": ('{"type": "hallo"}', "bad_message", 4400),
    "a field missing": ('{"type": "hello", "codec": "mulaw"}', "bad_message", 4400),
    "audio first": (frame(0), "hello_expected", 4400),
    "end first": ('{"type": "end"}', "hello_expected", 4400),
    "wrong codec": (hello(codec="opus"), "unsupported_codec", 4415),
    "wrong rate": (hello(sample_rate=11025), "unsupported_codec", 4415),
    "no track": (hello(tracks=[]), "bad_message", 4400),
    "unknown track": (hello(tracks=["left"]), "bad_message", 4400),
    "a track twice": (hello(tracks=["agent", "agent"]), "bad_message", 4400),
    "metadata that is no text": (hello(metadata={"a": 1}), "bad_message", 4400),
    "resume of no call": (hello(resume=7), "unknown_call", 4404),
}
AFTER_HELLO = {
    "hello again": (hello(), "bad_message", 4400),
    "no JSON": ("bye", "bad_json", 1007),
    "half a header": (b"\x01\x00\x00", "bad_frame", 4400),
    "no audio": (frame(0, audio=b""), "bad_frame", 4400),
    "another version": (b"\x02" + frame(0)[1:], "bad_frame", 4400),
    "a frame for no track": (frame(0, track=2), "unknown_track", 4404),
    "a mark for no track": ('{"type": "mark", "name": "x", "track": "mono"}', "unknown_track", 4404),
    "a frame too long": (frame(0, audio=bytes(MAX_FRAME_BYTES + 2000)), "frame_too_big", 1009),
    "a leap": (frame(4_000_000_000), "sequence_gap", 4416),
    "an end for no reason": ('{"type": "end", "reason": "drain"}', "bad_message", 4400),
}
TWILIO = {
    "no JSON": (["connected"], "bad_json", 1007),
    "half a JSON": ([twilio_start("CA")[:40]], "bad_json", 1007),
    "unknown event": (['{"event": "video"}'], "bad_message", 4400),
    "binary": ([b"\x00\x01"], "bad_message", 4400),
    "media first": ([twilio_media("inbound", 1)], "hello_expected", 4400),
    "stop first": (['{"event": "stop"}'], "hello_expected", 4400),
    "a start without a call": (['{"event": "start", "start": {}}'], "bad_message", 4400),
    "a strange call": ([twilio_start("CA 1/2")], "bad_call_id", 4400),
    "another codec": (
        [twilio_start("CA", mediaFormat={"encoding": "audio/l16", "sampleRate": 16000, "channels": 1})],
        "unsupported_codec",
        4415,
    ),
    "another track": ([twilio_start("CA", tracks=["sideways"])], "bad_message", 4400),
    "media of another track": (
        [twilio_start("CA-a", tracks=["inbound"]), twilio_media("outbound", 1)],
        "unknown_track",
        4404,
    ),
    "media that is no base64": (
        [twilio_start("CA-b"), twilio_media("inbound", 1).replace('"payload": "', '"payload": "*')],
        "bad_message",
        4400,
    ),
}


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> object:
    with caplog.at_level(logging.INFO):
        yield
    assert [record for record in caplog.records if record.exc_info] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR and "UTF-8" not in record.msg] == []


async def assert_refused(socket: ClientConnection, code: str, close_code: int) -> None:
    error = await receive(socket)
    assert (error["type"], error["code"]) == ("error", code)
    assert len(error["message"]) > 10
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (close_code, code)


async def assert_alive(gateway: Running) -> None:
    async with gateway.raw(new_call_id()) as socket:
        assert (await say_hello(socket))["type"] == "welcome"


@pytest.mark.parametrize("case", BEFORE_HELLO)
async def test_a_wrong_beginning_is_refused(gateway: Running, case: str) -> None:
    data, code, close_code = BEFORE_HELLO[case]
    async with gateway.raw(new_call_id()) as socket:
        await socket.send(data)
        await assert_refused(socket, code, close_code)
    await assert_alive(gateway)


@pytest.mark.parametrize("case", AFTER_HELLO)
async def test_a_wrong_message_is_refused_and_the_call_can_go_on(gateway: Running, case: str) -> None:
    data, code, close_code = AFTER_HELLO[case]
    call_id = new_call_id()
    async with gateway.raw(call_id) as socket:
        await say_hello(socket)
        await socket.send(data)
        await assert_refused(socket, code, close_code)
    async with gateway.raw(call_id) as socket:
        assert (await say_hello(socket, resume=0))["next"] == {"agent": 0, "customer": 0}


@pytest.mark.parametrize("case", TWILIO)
async def test_what_twilio_would_not_send_is_refused(gateway: Running, case: str) -> None:
    messages, code, close_code = TWILIO[case]
    async with gateway.twilio() as socket:
        for message in messages:
            await socket.send(message)
        await assert_refused(socket, code, close_code)
    await assert_alive(gateway)


async def test_who_says_nothing_is_not_waited_for(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_MESSAGE_S", 0.1)
    for silent in (gateway.raw(new_call_id()), gateway.twilio()):
        async with silent as socket:
            await assert_refused(socket, "hello_expected", 4400)


async def test_half_a_sample_is_refused(gateway: Running) -> None:
    async with gateway.raw(new_call_id()) as socket:
        await say_hello(socket, codec="pcm16")
        await socket.send(frame(0, audio=b"123"))
        await assert_refused(socket, "bad_frame", 4400)


@pytest.mark.parametrize("call_id", ["a%20b", "a%2Fb", "%00", "x" * 129, "caf%C3%A9"])
async def test_a_strange_call_id_is_refused(gateway: Running, call_id: str) -> None:
    async with gateway.raw(call_id) as socket:
        await socket.send(hello())
        await assert_refused(socket, "bad_call_id", 4400)


async def test_ten_megabytes_are_not_even_read(gateway: Running) -> None:
    async with gateway.raw(new_call_id(), max_size=None) as socket:
        await say_hello(socket)
        with contextlib.suppress(ConnectionClosed):
            await socket.send(bytes(10 * 1024 * 1024))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    # The network may have thrown the close frame away with what the gateway did not read.
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    await assert_alive(gateway)


async def test_text_that_is_not_utf8_is_refused(gateway: Running) -> None:
    async with gateway.raw(new_call_id()) as socket:
        await socket.send(b"\xff\xfe{}", text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
    await assert_alive(gateway)


async def test_a_second_connection_for_a_live_call_is_refused(gateway: Running) -> None:
    call_id = new_call_id()
    async with gateway.raw(call_id) as first, gateway.raw(call_id) as second:
        await say_hello(first)
        await second.send(hello())
        await assert_refused(second, "call_live", 4409)
        await first.send(frame(0))
        assert (await receive(first))["type"] == "ack"


async def test_a_resume_with_another_codec_is_refused(gateway: Running) -> None:
    call_id = new_call_id()
    async with gateway.raw(call_id) as socket:
        await say_hello(socket)
    async with gateway.raw(call_id) as socket:
        await socket.send(hello(resume=0, codec="alaw"))
        await assert_refused(socket, "bad_message", 4400)


async def test_an_unknown_address_and_an_unknown_call_are_not_found(gateway: Running) -> None:
    assert (await gateway.get("/v2/calls")).status_code == 404
    assert (await gateway.get("/v1/calls/nobody")).status_code == 404


async def test_refusals_are_counted(gateway: Running) -> None:
    refused = gateway.gateway.stats.refused["bad_message"]
    async with gateway.raw(new_call_id()) as socket:
        await socket.send(json.dumps({"type": "x"}))
        await assert_refused(socket, "bad_message", 4400)
    metrics = (await gateway.get("/metrics")).text
    assert f'voicestream_gateway_refused_total{{code="bad_message"}} {refused + 1}.0' in metrics
