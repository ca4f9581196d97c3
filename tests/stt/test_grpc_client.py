"""The engine `grpc`: what it does when the servers are not as they should be."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from voicestream.audio.codecs import Pcm
from voicestream.errors import SttError, SttUnavailable
from voicestream.stt.engine import Clip, load_engine

pytest.importorskip("grpc", reason="the engine grpc is not installed")

from tests.stt.stt_servers import ScriptedServer, beside, hang
from voicestream.stt import client
from voicestream.stt.client import SttClient
from voicestream.stt.grpc_client import GrpcClient

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start_server(tiny_en: Path) -> Iterator[Start]:
    """Starts native servers, to be killed."""
    built = sorted((Path(__file__).parents[2] / "build" / "native").glob("*/stt_server"))
    if not built:
        pytest.skip("the native server is not built: `make native`")
    running = []

    def start(*options: str) -> tuple[subprocess.Popen[str], str]:
        command = [str(built[0]), "--model", str(tiny_en), "--listen", "127.0.0.1:0", "--workers", "1", *options]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(server)
        assert server.stdout
        return server, server.stdout.readline().split()[3]

    yield start
    for server in running:
        server.kill()
        server.wait()
        assert server.stdout
        server.stdout.close()


def test_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicestream.stt.grpc_client._READY_S", 0.5)
    engine = load_engine("grpc://127.0.0.1:1", "tiny.en", capacity=1)
    with pytest.raises(SttUnavailable, match=r"127\.0\.0\.1:1: UNAVAILABLE.*start `stt_server"):
        engine.warm_up()
    with pytest.raises(SttUnavailable, match=r"127\.0\.0\.1:1: UNAVAILABLE"):
        engine.transcribe([Clip(np.zeros(1600, np.int16), 16000, "en")])
    engine.close()


def test_url_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(SttError, match=r"write grpc://HOST:PORT, or several with commas between"):
        load_engine("grpc://,", "tiny.en", capacity=1)


def test_server_with_another_model_is_refused(stt_server: str) -> None:
    engine = load_engine(stt_server, "base", capacity=1)
    with pytest.raises(SttError, match=r"has the model base: .*it has the model tiny\.en") as caught:
        engine.warm_up()
    assert not isinstance(caught.value, SttUnavailable)
    engine.close()


def test_clips_beyond_the_queue_are_sent_again_until_they_are_heard(
    start_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_QUEUE_S", 20.0)  # the machine may be busy
    _, address = start_server("--queue", "1")
    engine = load_engine(f"grpc://{address}", "tiny.en", capacity=2)
    clips = [Clip(np.zeros(1600, np.int16), 16000, "en")] * 4  # the server takes one, and keeps one waiting
    assert len(engine.transcribe(clips)) == 4
    engine.close()


def test_no_clip_is_lost_when_one_of_two_servers_is_killed(start_server: Start, jfk: Pcm) -> None:
    (dying, first), (_, second) = start_server(), start_server()
    engine = load_engine(f"grpc://{first},{second}", "tiny.en", capacity=4)
    engine.warm_up()
    clip = Clip(jfk[:16000], 16000, "en")
    with ThreadPoolExecutor(4) as pool:
        heard = [pool.submit(engine.transcribe, [clip]) for _ in range(8)]
        time.sleep(0.2)
        dying.kill()
        texts = {future.result()[0].text for future in heard}
    assert len(texts) == 1
    engine.close()


def test_a_frozen_server_is_given_up(start_server: Start, jfk: Pcm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_QUEUE_S", 2.0)
    (frozen, first), (_, second) = start_server(), start_server()
    engine = load_engine(f"grpc://{first},{second}", "tiny.en", capacity=1)
    engine.warm_up()
    os.kill(frozen.pid, signal.SIGSTOP)
    for _ in range(2):  # of which one at least goes to the frozen one first
        assert engine.transcribe([Clip(jfk[:16000], 16000, "en")])[0].text
    engine.close()


def test_closing_ends_what_is_in_work() -> None:
    server = ScriptedServer(hang)
    with beside(server):
        engine = GrpcClient("tiny.en", capacity=1, url=f"grpc://{server.address}")
        engine.warm_up()
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                engine.transcribe([Clip(np.ones(1600, np.int16), 16000, "en")])
            except SttError as error:
                raised.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not server.in_work:
            time.sleep(0.01)
        engine.close()
        thread.join(5)
        assert [type(error) for error in raised] == [SttUnavailable]
        with pytest.raises(SttUnavailable, match="closed"):
            engine.warm_up()
        engine.close()


def test_a_clip_that_comes_while_it_is_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    closing, leave = threading.Event(), SttClient.__aexit__

    async def slowly(self: SttClient, *of: object) -> None:
        closing.set()
        await asyncio.sleep(0.5)
        await leave(self, *of)

    monkeypatch.setattr(SttClient, "__aexit__", slowly)
    server = ScriptedServer(hang)
    with beside(server):
        engine = GrpcClient("tiny.en", capacity=1, url=f"grpc://{server.address}")
        thread = threading.Thread(target=engine.close)
        thread.start()
        assert closing.wait(5)
        with pytest.raises(SttUnavailable, match="the client of speech to text is closed"):
            engine.transcribe([Clip(np.ones(1600, np.int16), 16000, "en")])
        thread.join()


def test_one_clip_that_fails_calls_the_others_off() -> None:
    server = ScriptedServer(hang)
    with beside(server):
        engine = GrpcClient("tiny.en", capacity=2, url=f"grpc://{server.address}")
        too_long = Clip(np.ones(8000 * 300, np.int16), 8000, "en")
        with pytest.raises(SttError, match="longer than the server takes"):
            engine.transcribe([Clip(np.ones(1600, np.int16), 16000, "en"), too_long])
        engine.close()
