"""Keys open the gateway where they are configured."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from gateway_helpers import Running, hello, new_call_id, receive, serving, twilio_start
from websockets.exceptions import ConnectionClosed, InvalidStatus

from voicestream import topics
from voicestream.gateway.auth import ApiKeys
from voicestream.records import CallEvent
from voicestream.settings import Settings

BEARER = {"Authorization": "Bearer second"}


@pytest_asyncio.fixture
async def locked(settings: Settings) -> AsyncIterator[Running]:
    async with serving(settings.model_copy(update={"api_keys": "first, second"})) as running:
        yield running


@pytest.mark.parametrize("query", ["", "?api_key=wrong", "?api_key="])
async def test_without_a_key_nothing_opens(locked: Running, query: str) -> None:
    for path in ("/v1/calls", "/v1/calls/x", "/v1/stats"):
        assert (await locked.get(path + query)).status_code == 401
    for socket in (locked.raw(new_call_id() + query), locked.feed(query)):
        async with socket as connection:
            if "feed" not in connection.request.path:
                await connection.send(hello())
            assert (await receive(connection))["code"] == "unauthorized"
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


async def test_a_key_opens_everything(locked: Running) -> None:
    assert (await locked.get("/v1/calls?api_key=first")).status_code == 200
    assert (await locked.get("/v1/stats", headers=BEARER)).status_code == 200
    async with locked.raw(new_call_id(), additional_headers=BEARER) as socket:
        await socket.send(hello())
        assert (await receive(socket))["type"] == "welcome"
    async with locked.feed("?api_key=second") as socket:
        assert (await receive(socket))["type"] == "Hello"


async def test_health_and_metrics_and_the_page_need_no_key(locked: Running) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics"):
        assert (await locked.get(path)).status_code == 200


async def test_twilio_brings_its_key_as_a_parameter_that_is_not_kept(locked: Running) -> None:
    sid = new_call_id()
    async with locked.twilio() as socket:
        await socket.send(twilio_start(sid))
        assert (await receive(socket))["code"] == "unauthorized"
    async with locked.twilio() as socket:
        await socket.send(twilio_start(sid, customParameters={"api_key": "first", "vip": "yes"}))
        (started,) = await locked.read(topics.calls, sid, lambda record: isinstance(record, CallEvent))
    assert isinstance(started, CallEvent)
    assert started.metadata.keys() == {"vip", "stream_sid", "account_sid"}


def test_keys_are_compared_whole() -> None:
    keys = ApiKeys("abc")
    assert [keys.admit(given) for given in ("abc", "ab", "abcd", "", None, "äbc")] == [True] + [False] * 5
    assert ApiKeys(" , ").admit(None)


async def test_a_page_of_another_site_is_refused_where_no_key_is_asked_for(gateway: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with gateway.feed("", origin="https://elsewhere.example"):
            pass
    assert refused.value.response.status_code == 403
    async with gateway.feed("", origin=gateway.http) as socket:
        assert (await receive(socket))["type"] == "Hello"


async def test_with_a_key_a_page_of_another_site_is_welcome(locked: Running) -> None:
    async with locked.feed("?api_key=first", origin="https://elsewhere.example") as socket:
        assert (await receive(socket))["type"] == "Hello"
