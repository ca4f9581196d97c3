"""The client of the native server, against gRPC servers that fail as the test tells them."""

import asyncio
import itertools
import logging
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc", reason="the engine grpc is not installed")

import grpc
from prometheus_client import REGISTRY

from tests.stt.stt_servers import ScriptedServer, echo, hang, refuse, said, serving
from voicestream.audio.codecs import Pcm
from voicestream.errors import SttError, SttUnavailable
from voicestream.stt import addresses, client, stt_pb2
from voicestream.stt.addresses import Host, addresses_of, hosts_of
from voicestream.stt.client import SttClient
from voicestream.stt.engine import Clip
from voicestream.stt.server import Server

NOBODY = "127.0.0.1:1"
Code = grpc.StatusCode


def clip(samples: int = 800, *, interim: bool = False) -> Clip:
    return Clip(np.ones(samples, np.int16), 8000, "en-US", interim)


def requests_of(address: str, outcome: str) -> float:
    labels = {"address": address, "outcome": outcome}
    return REGISTRY.get_sample_value("voicestream_stt_requests_total", labels) or 0


def breaker_open(address: str) -> float | None:
    return REGISTRY.get_sample_value("voicestream_stt_breaker_open", {"address": address})


async def until(what: Any) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 (what it waits for is another task's)
            await asyncio.sleep(0.01)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_QUEUE_S", 0.4)


# Addresses


def test_addresses_are_read_from_the_url() -> None:
    assert hosts_of("grpc://a:1,b,a:1/") == [Host("a", 1), Host("b", 50051)]
    assert hosts_of("grpc://dns:///stt.local:7") == [Host("stt.local", 7)]
    assert [str(host) for host in hosts_of("grpc://[::1]:5, 10.0.0.1:6")] == ["[::1]:5", "10.0.0.1:6"]


@pytest.mark.parametrize("url", ["grpc://", "grpc://a,,b", "grpc://a:b", "grpc://a/b", "http://a:1", "grpc://u@a:1"])
def test_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(SttError, match=r"is no address of servers: write grpc://HOST:PORT"):
        SttClient(url, "tiny.en")


async def test_host_of_both_families_counts_once() -> None:
    assert await addresses_of(Host("127.0.0.1", 5)) == ["127.0.0.1:5"]
    assert await addresses_of(Host("localhost", 5)) == ["127.0.0.1:5"]


async def test_every_address_of_a_name_is_a_server_and_it_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"127.0.0.1"}
    look_up = asyncio.get_running_loop().getaddrinfo

    async def resolve(name: str, port: int, **options: Any) -> list[Any]:
        if name != "stt.test":
            return await look_up(name, port, **options)
        if not found:
            raise socket.gaierror("scripted")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    monkeypatch.setattr(client, "_LOOK_UP_S", 0.05)
    first, second = ScriptedServer(), ScriptedServer()
    async with serving(first):
        second.address = first.address.replace("127.0.0.1", "127.0.0.2")
        async with serving(second), SttClient(f"grpc://stt.test:{first.address.split(':')[1]}", "tiny.en") as stt:
            for _ in range(4):
                await stt.transcribe(clip())
            assert (len(first.requests), len(second.requests)) == (4, 0)
            found.add("127.0.0.2")
            await until(lambda: breaker_open(second.address) == 0)
            first.answer = second.answer = hang
            waiting = [asyncio.create_task(stt.transcribe(clip())) for _ in range(4)]
            await until(lambda: (first.in_work, second.in_work) == (2, 2))
            first.answer = second.answer = echo
            found.remove("127.0.0.1")
            await until(lambda: breaker_open(first.address) is None)
            for _ in range(4):
                await stt.transcribe(clip())
            assert len(first.requests) == 6
            assert first.cancelled == 0  # what it had in work goes on
            found.clear()  # the name server is away: what is known stays
            await asyncio.sleep(0.2)
            await stt.transcribe(clip())
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


async def test_name_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no-such-name.invalid", "two..dots"):
        async with SttClient(f"grpc://{name}:5", "tiny.en") as stt:
            with pytest.raises(SttUnavailable, match=rf"{re.escape(name)}:5: the name has no address"):
                await stt.transcribe(clip())


async def test_a_name_that_is_looked_up_to_no_use_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ScriptedServer()
    found = [(99, socket.SOCK_STREAM, 6, "", ("", 0))]  # neither IPv4 nor IPv6

    async def resolve(*_: Any, **__: Any) -> list[Any]:
        return found

    async with serving(server) as url, SttClient(url.replace("127.0.0.1", "stt.test"), "tiny.en") as stt:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        with pytest.raises(SttUnavailable, match=r"stt\.test:\d+: the name has no address"):
            await stt.transcribe(clip())
        found[:] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
        await stt.ready(5)


# One clip


async def test_a_clip_goes_out_whole_and_comes_back() -> None:
    server = ScriptedServer()
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        heard = await stt.transcribe(clip(interim=True))
        assert (heard.text, heard.language) == ("800 samples", "en")
        [request] = server.requests
        assert (request.interim, request.format.language, request.format.sample_rate_hz) == (True, "en", 8000)
        assert requests_of(server.address, "ok") == 1
        assert breaker_open(server.address) == 0
    assert breaker_open(server.address) is None


async def test_the_server_with_the_fewest_clips_in_work_is_asked() -> None:
    servers = [ScriptedServer(hang), ScriptedServer(hang), ScriptedServer(hang)]
    async with serving(*servers) as url, SttClient(url, "tiny.en") as stt:
        await stt.ready(10)
        await until(lambda: all(breaker_open(server.address) == 0 for server in servers))
        tasks = [asyncio.create_task(stt.transcribe(clip())) for _ in range(12)]
        await until(lambda: [server.in_work for server in servers] == [4, 4, 4])
        for task in tasks:
            task.cancel()
        assert all(isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*tasks, return_exceptions=True))


async def test_a_cancelled_task_cancels_its_request() -> None:
    server = ScriptedServer(hang)
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        task = asyncio.create_task(stt.transcribe(clip()))
        await until(lambda: server.in_work == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.cancelled == 1)
        assert server.in_work == 0


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN, Code.CANCELLED, Code.UNIMPLEMENTED])
async def test_what_one_server_fails_on_another_one_is_asked(code: grpc.StatusCode) -> None:
    bad, good = ScriptedServer(refuse(code)), ScriptedServer()
    async with serving(bad, good) as url, SttClient(url, "tiny.en") as stt:
        await until(lambda: (breaker_open(bad.address), breaker_open(good.address)) == (0, 0))
        for _ in range(12):
            assert (await stt.transcribe(clip())).text == "800 samples"
        assert len(good.requests) == 12
        assert 1 <= len(bad.requests) <= 12
        assert requests_of(bad.address, code.name.lower()) == len(bad.requests)


async def test_a_server_that_crashes_half_way_loses_no_clip() -> None:
    async def slowly(request: Any, context: Any) -> stt_pb2.Transcript:
        await asyncio.sleep(0.5)
        return await echo(request, context)

    dying, other = ScriptedServer(hang), ScriptedServer(slowly)
    async with serving(dying, other) as url, SttClient(url, "tiny.en") as stt:
        await until(lambda: (breaker_open(dying.address), breaker_open(other.address)) == (0, 0))
        tasks = [asyncio.create_task(stt.transcribe(clip())) for _ in range(8)]
        await until(lambda: (dying.in_work, other.in_work) == (4, 4))
        await dying.stop()
        assert [heard.text for heard in await asyncio.gather(*tasks)] == ["800 samples"] * 8
        assert len(other.requests) == 8


async def test_a_server_that_hangs_is_left_after_a_time_that_grows_with_the_clip(impatient: None) -> None:
    server = ScriptedServer(script=(hang,))
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        started = time.monotonic()
        assert (await stt.transcribe(clip())).text == "800 samples"
        assert 0.5 <= time.monotonic() - started < 1.0  # 0.4 s and the 0.1 s of the clip, twice at most
        assert requests_of(server.address, "deadline_exceeded") == 1


async def test_a_server_that_is_slow_to_some_and_answers_others_is_not_away(impatient: None) -> None:
    server = ScriptedServer()
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        await stt.transcribe(clip())
        server.script += [hang] * 20
        waiting = [asyncio.create_task(stt.transcribe(clip())) for _ in range(10)]
        await until(lambda: server.in_work == 10)
        server.script.clear()
        await stt.transcribe(clip())
        assert [heard.text for heard in await asyncio.gather(*waiting)] == ["800 samples"] * 10
        assert requests_of(server.address, "deadline_exceeded") == 10


async def test_there_is_an_end_to_trying(impatient: None) -> None:
    server = ScriptedServer(hang)
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        started = time.monotonic()
        with pytest.raises(SttUnavailable, match=r"full or too slow: 127\.0\.0\.1:\d+: DEADLINE_EXCEEDED"):
            await stt.transcribe(clip(1600))
        assert time.monotonic() - started < 1.6
        assert len(server.requests) <= 2


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE])
async def test_what_will_never_work_is_asked_once(code: grpc.StatusCode) -> None:
    servers = [ScriptedServer(refuse(code)), ScriptedServer(refuse(code))]
    async with serving(*servers) as url, SttClient(url, "tiny.en") as stt:
        for _ in range(6):
            with pytest.raises(SttError, match=f"scripted {code.name}") as caught:
                await stt.transcribe(clip())
            assert not isinstance(caught.value, SttUnavailable)
        assert sum(len(server.requests) for server in servers) == 6
        assert await stt.ready(1) is None


async def test_inference_that_fails_twice_is_the_fault_of_the_clip() -> None:
    server = ScriptedServer(script=(refuse(Code.INTERNAL),) * 3)
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(SttError, match="INTERNAL: scripted") as caught:
            await stt.transcribe(clip())
        assert not isinstance(caught.value, SttUnavailable)
        assert (await stt.transcribe(clip())).text == "800 samples"


async def test_clip_that_no_message_holds_is_refused_here() -> None:
    async with SttClient(f"grpc://{NOBODY}", "tiny.en") as stt:
        with pytest.raises(SttError, match="a clip of 252 s is longer than the server takes"):
            await stt.transcribe(clip(8000 * 252))


# Full servers


async def test_a_full_server_is_asked_again_when_it_said() -> None:
    server = ScriptedServer(script=(refuse(Code.RESOURCE_EXHAUSTED, "300"),))
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        started = time.monotonic()
        assert (await stt.transcribe(clip())).text == "800 samples"
        assert 0.3 <= time.monotonic() - started < 1
        assert requests_of(server.address, "resource_exhausted") == 1


async def test_other_clips_go_elsewhere_meanwhile() -> None:
    full, other = ScriptedServer(refuse(Code.RESOURCE_EXHAUSTED, "60000")), ScriptedServer()
    async with serving(full, other) as url, SttClient(url, "tiny.en") as stt:
        await until(lambda: (breaker_open(full.address), breaker_open(other.address)) == (0, 0))
        for _ in range(20):
            await stt.transcribe(clip())
        assert len(full.requests) <= 1
        assert breaker_open(full.address) == 0  # a full server is a good server


@pytest.mark.parametrize("pushback_ms", ["-1", "soon", "60000"])
async def test_where_all_are_full_for_long_nobody_waits(pushback_ms: str) -> None:
    server = ScriptedServer(refuse(Code.RESOURCE_EXHAUSTED, pushback_ms))
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        started = time.monotonic()
        with pytest.raises(SttUnavailable, match="RESOURCE_EXHAUSTED: scripted"):
            await stt.transcribe(clip())
        assert time.monotonic() - started < 1
        assert len(server.requests) == 1


@pytest.mark.parametrize(("pushback_ms", "times"), [(None, 8), ("0", 22)])
async def test_a_full_server_without_a_good_hint_is_not_stormed(
    impatient: None, pushback_ms: str | None, times: int
) -> None:
    server = ScriptedServer(refuse(Code.RESOURCE_EXHAUSTED, pushback_ms))
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(SttUnavailable):
            await stt.transcribe(clip())
        assert 2 <= len(server.requests) <= times


@pytest.mark.parametrize("answer", [refuse(Code.RESOURCE_EXHAUSTED, "10"), refuse(Code.UNAVAILABLE)])
async def test_an_interim_clip_is_tried_once(answer: Any) -> None:
    servers = [ScriptedServer(answer), ScriptedServer(answer)]
    async with serving(*servers) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(SttUnavailable):
            await stt.transcribe(clip(interim=True))
        assert sum(len(server.requests) for server in servers) == 1


async def test_interim_clips_that_are_refused_hold_up_no_others() -> None:
    server = ScriptedServer(script=(refuse(Code.RESOURCE_EXHAUSTED, "60000"),))
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        for _ in range(2):
            with pytest.raises(SttUnavailable):
                await stt.transcribe(clip(interim=True))
        assert (await stt.transcribe(clip())).text == "800 samples"
        assert [request.interim for request in server.requests] == [True, False]
        assert (requests_of(server.address, "interim_refused"), requests_of(server.address, "ok")) == (1, 1)


async def test_many_clips_on_servers_that_fail_each_get_their_own_answer_and_a_third_is_cancelled() -> None:
    chance = random.Random(4)
    faults = [
        *(refuse(code) for code in (Code.UNAVAILABLE, Code.INTERNAL, Code.CANCELLED)),
        *(refuse(Code.RESOURCE_EXHAUSTED, pushback) for pushback in ("20", "200")),
    ]

    async def moody(request: Any, context: Any) -> stt_pb2.Transcript:
        await asyncio.sleep(chance.uniform(0, 0.03))
        return await (echo if chance.random() < 0.7 else chance.choice(faults))(request, context)

    servers = [ScriptedServer(moody) for _ in range(3)]
    counts = {"heard": 0, "unavailable": 0, "failed": 0, "cancelled": 0}

    async with serving(*servers) as url, SttClient(url, "tiny.en") as stt:

        async def ask(number: int) -> None:
            try:
                async with asyncio.timeout(chance.uniform(0, 0.1) if number % 3 == 0 else 60):
                    assert (await stt.transcribe(clip(number))).text == f"{number} samples"
                counts["heard"] += 1
            except TimeoutError:
                counts["cancelled"] += 1
            except SttUnavailable:
                counts["unavailable"] += 1
            except SttError:
                counts["failed"] += 1

        await stt.ready(10)
        await asyncio.gather(*(ask(number) for number in range(1, 301)))
        await until(lambda: [server.in_work for server in servers] == [0, 0, 0])
        assert [server.in_flight for server in stt._servers.values()] == [0, 0, 0]
    assert sum(counts.values()) == 300
    assert counts["heard"] > 100, counts
    assert counts["cancelled"] > 10, counts


# Circuit breaker


async def test_a_server_that_fails_is_left_alone_until_a_probe_succeeds() -> None:
    server = ScriptedServer(refuse(Code.UNAVAILABLE))
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(SttUnavailable, match=r"no server .* can be asked: .*scripted UNAVAILABLE"):
            await stt.transcribe(clip())
        asked = len(server.requests)
        assert asked == 5
        assert breaker_open(server.address) == 1
        with pytest.raises(SttUnavailable):
            await stt.transcribe(clip())
        assert len(server.requests) == asked
        await stt.ready(5)  # its probes succeed
        with pytest.raises(SttUnavailable):
            await stt.transcribe(clip())
        assert len(server.requests) == asked + 1
        server.answer = echo
        await stt.ready(5)
        assert (await stt.transcribe(clip())).text == "800 samples"


async def test_a_clip_that_no_server_understands_is_found_out_though_it_trips_the_breaker() -> None:
    server = ScriptedServer(refuse(Code.UNAVAILABLE))
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(SttUnavailable):
            await stt.transcribe(clip())
        server.answer = refuse(Code.INTERNAL)
        await stt.ready(5)
        with pytest.raises(SttError, match="scripted INTERNAL") as caught:
            await stt.transcribe(clip())
        assert not isinstance(caught.value, SttUnavailable)
        assert breaker_open(server.address) == 1


async def test_a_probe_that_ends_as_nobody_expected_is_not_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    call, calls = Server._call, itertools.count()

    async def fail_once(self: Server, request: stt_pb2.TranscribeRequest, timeout_s: float) -> stt_pb2.Transcript:
        if next(calls) == 0:
            raise RuntimeError("scripted")
        return await call(self, request, timeout_s)

    server = ScriptedServer()
    monkeypatch.setattr(Server, "_call", fail_once)
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(SttUnavailable, match=r"the probe failed: RuntimeError\('scripted'\)"):
            await stt.transcribe(clip())
        await stt.ready(5)


async def test_a_server_that_is_gone_has_no_gauge_whatever_its_last_clips_say() -> None:
    server = ScriptedServer()
    async with serving(server):
        gone = Server(server.address, "stt", "tiny.en", asyncio.Event())
        await until(lambda: gone.usable)
        await gone.close()
        gone.leave_out("it hangs")
        assert breaker_open(server.address) is None


async def test_a_server_that_dies_and_comes_back_is_found_again(caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedServer()
    caplog.set_level(logging.INFO)
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        await stt.transcribe(clip())
        await server.stop()
        with pytest.raises(SttUnavailable):
            await stt.transcribe(clip())
        await asyncio.sleep(1)
        await server.start()
        await stt.ready(10)
        await stt.transcribe(clip())
        said_of_it = [record.message for record in caplog.records if server.address in record.message]
        assert len(said_of_it) <= 4, said_of_it
        assert said_of_it[-1].endswith("takes clips")


# Models


async def test_a_server_with_another_model_gets_no_clips(caplog: pytest.LogCaptureFixture) -> None:
    wrong, right = ScriptedServer(model="base"), ScriptedServer()
    async with serving(wrong, right) as url, SttClient(url, "tiny.en") as stt:
        for _ in range(6):
            await stt.transcribe(clip())
        assert (len(wrong.requests), len(right.requests)) == (0, 6)
        assert breaker_open(wrong.address) == 1
        assert f"{wrong.address} gets no clips for now: it has the model base, not tiny.en" in caplog.text


async def test_where_all_have_another_model_that_is_an_error() -> None:
    async with serving(ScriptedServer(model="base")) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(SttError, match=r"no server .* has the model tiny\.en: .*it has the model base") as caught:
            await stt.ready(10)
        assert not isinstance(caught.value, SttUnavailable)


async def test_a_server_that_comes_back_with_another_model_is_found_out_by_its_answer() -> None:
    server, other = ScriptedServer(), ScriptedServer()
    async with serving(server, other) as url, SttClient(url, "tiny.en") as stt:
        await until(lambda: (breaker_open(server.address), breaker_open(other.address)) == (0, 0))
        server.model = "base"
        for _ in range(10):
            assert (await stt.transcribe(clip())).text == "800 samples"
        assert len(other.requests) == 10
        assert len(server.requests) <= 1
        assert requests_of(server.address, "wrong_model") == len(server.requests)


# Starting


async def test_servers_that_are_not_up_yet_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedServer()
    await server.start()
    await server.stop()
    async with SttClient(f"grpc://{server.address},{NOBODY}", "tiny.en") as stt:
        asyncio.get_running_loop().call_later(1, lambda: asyncio.ensure_future(server.start()))
        await stt.ready(20)
        assert (await stt.transcribe(clip())).text == "800 samples"
    await server.stop()


async def test_waiting_has_an_end_and_says_for_whom(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client, "_SAY_S", 0.2)
    async with SttClient(f"grpc://{NOBODY}", "tiny.en") as stt:
        with pytest.raises(SttUnavailable, match=rf"within 1 s \({NOBODY}: UNAVAILABLE.*start `stt_server"):
            await stt.ready(1)
    assert f"still waiting for a server of speech to text: {NOBODY}" in caplog.text


# Streams


async def words(requests: AsyncIterator[stt_pb2.StreamingRequest], context: Any) -> AsyncIterator[Any]:
    """An interim transcript with each piece, and a final one at the end of a segment."""
    segment = samples = 0
    async for request in requests:
        if request.WhichOneof("request") == "audio":
            samples += len(request.audio) // 2
            yield stt_pb2.StreamingResponse(segment=segment, transcript=said(f"{samples} so far"))
        elif request.end_of_segment:
            yield stt_pb2.StreamingResponse(segment=segment, final=True, transcript=said(f"{samples} in all"))
            segment, samples = segment + 1, 0


async def spoken() -> AsyncIterator[Pcm | None]:
    for _ in range(2):
        yield np.ones(400, np.int16)
        yield np.ones(400, np.int16)
        yield None


async def test_a_stream_gives_interim_and_final_transcripts() -> None:
    server = ScriptedServer()
    server.stream = words
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        heard = [one async for one in stt.stream(spoken(), sample_rate=8000, language="en")]
        assert [(one.segment, one.final, one.recognition.text) for one in heard] == [
            (segment, *part)
            for segment in (0, 1)
            for part in [(False, "400 so far"), (False, "800 so far"), (True, "800 in all")]
        ]
        assert requests_of(server.address, "ok") == 1


async def test_the_native_server_streams(stt_server: str, jfk: Pcm) -> None:
    async def spoken() -> AsyncIterator[Pcm | None]:
        for piece in jfk[:56_000], jfk[112_000:]:
            for at in range(0, len(piece), 8_000):
                yield piece[at : at + 8_000]
            yield None

    async with SttClient(stt_server, "tiny.en") as stt:
        heard = [one async for one in stt.stream(spoken(), sample_rate=16_000, language="en")]
    assert [(one.segment, one.recognition.text.split()[-1]) for one in heard if one.final] == [
        (0, "Americans."),
        (1, "country"),
    ]
    assert [one.segment for one in heard] == sorted(one.segment for one in heard)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(Code.UNAVAILABLE, SttUnavailable), (Code.CANCELLED, SttUnavailable), (Code.INVALID_ARGUMENT, SttError)],
)
async def test_a_stream_ends_with_what_the_server_says(code: grpc.StatusCode, kind: type[SttError]) -> None:
    async def dies(requests: AsyncIterator[stt_pb2.StreamingRequest], context: Any) -> AsyncIterator[Any]:
        yield stt_pb2.StreamingResponse(transcript=said("so"))
        await context.abort(code, "scripted end")

    async def one_piece() -> AsyncIterator[Pcm | None]:
        yield np.ones(400, np.int16)
        await asyncio.sleep(30)

    server = ScriptedServer()
    server.stream = dies
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        stream = stt.stream(one_piece(), sample_rate=8000)
        assert (await anext(stream)).recognition.text == "so"
        with pytest.raises(SttError) as caught:
            await anext(stream)
        assert type(caught.value) is kind


async def test_a_server_that_dies_while_it_is_spoken_to_is_away_for_now() -> None:
    async def endless() -> AsyncIterator[Pcm | None]:
        while True:
            yield np.ones(400, np.int16)
            await asyncio.sleep(0)

    server = ScriptedServer()
    server.stream = words
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        stream = stt.stream(endless(), sample_rate=8000)
        await anext(stream)
        await server.stop()
        with pytest.raises(SttUnavailable):
            async for _ in stream:
                pass


async def test_what_the_callers_audio_raises_ends_the_stream() -> None:
    async def broken() -> AsyncIterator[Pcm | None]:
        yield np.ones(400, np.int16)
        raise LookupError("no more audio")

    server = ScriptedServer()
    server.stream = words
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        with pytest.raises(LookupError, match="no more audio"):
            async for _ in stt.stream(broken(), sample_rate=8000):
                pass


async def test_a_stream_that_is_left_is_cancelled_on_the_server() -> None:
    async def endless() -> AsyncIterator[Pcm | None]:
        while True:
            yield np.ones(400, np.int16)
            await asyncio.sleep(0.02)

    server = ScriptedServer()
    server.stream = words
    async with serving(server) as url, SttClient(url, "tiny.en") as stt:
        stream = stt.stream(endless(), sample_rate=8000)
        assert (await anext(stream)).recognition.text == "400 so far"
        assert server.in_work == 1
        await stream.aclose()
        await until(lambda: server.in_work == 0)


def test_the_documented_port_is_the_default() -> None:
    assert addresses.DEFAULT_PORT == 50051
