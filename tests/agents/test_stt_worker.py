"""A worker of the stage stt, as a process, when its server dies."""

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc", reason="the engine grpc is not installed")

from tests.processes import Topics, Worker, wait_until
from tests.stt.stt_servers import ScriptedServer, beside
from voicestream import topics, weights
from voicestream.audio.codecs import Pcm
from voicestream.audio.files import read_audio
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import free_port
from voicestream.records import EndOfCall, SpeechSegment

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
CALLS = ("one", "two", "three")


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker.log") as broker:
        yield broker


def segment(call_id: str, number: int, pcm: Pcm, rate: int) -> SpeechSegment:
    start_ms, ms = number * 1000, len(pcm) * 1000 // rate
    return SpeechSegment(
        utterance_id=f"{call_id}/agent/{number}", call_id=call_id, track="agent", number=number, start_ms=start_ms,
        end_ms=start_ms + ms, voice_start_ms=start_ms, voice_end_ms=start_ms + ms, speech_ms=ms, at_ms=start_ms + ms,
        closed_by="pause", sample_rate=rate, audio=pcm.astype("<i2").tobytes(),
    )  # fmt: skip


def buzz(call_id: str, number: int) -> SpeechSegment:
    return segment(call_id, number, np.resize(np.array([8000, -8000], np.int16), 1600 + number), 8000)


def end(call_id: str) -> EndOfCall:
    return EndOfCall(call_id=call_id, stage="chunking", at_ms=99_000, duration_ms=99_000, reason="completed")


def over(found: list[object]) -> bool:
    return any(isinstance(one, EndOfCall) for one in found)


def test_a_worker_that_waits_for_its_server_stops_in_time_and_loses_nothing(own_broker: Broker, tmp_path: Path) -> None:
    there = Topics(own_broker.bootstrap, codec())
    port = free_port()
    server = ScriptedServer()
    with beside(server) as at:
        worker = Worker(
            "stt", tmp_path, VOICESTREAM_BROKER=own_broker.url, VOICESTREAM_STT_ENGINE=f"grpc://{server.address}",
            VOICESTREAM_STT_WORKERS="2", VOICESTREAM_METRICS_PORT=str(port),
        )  # fmt: skip
        try:
            worker.wait_ready()
            there.send(topics.segments, *(buzz(call, n) for n in range(3) for call in CALLS))
            for call in CALLS:
                there.until(topics.transcripts, call, lambda found: len(found) == 3)
            at.do(server.stop())
            there.send(topics.segments, *(buzz(call, n) for n in range(3, 6) for call in CALLS), *map(end, CALLS))
            wait_until("the worker says that segments wait", lambda: "segments wait" in worker.said())
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                metrics = answer.read().decode()
            assert f'voicestream_stt_breaker_open{{address="{server.address}"}} 1.0' in metrics
            assert f'voicestream_stt_requests_total{{address="{server.address}",outcome="ok"}} 9.0' in metrics

            asked = time.monotonic()
            worker.terminate()
            assert worker.wait() == 0
            assert time.monotonic() - asked < 15  # it waits 5 s for what is in work

            at.do(server.start())
            worker.start()
            for call in CALLS:
                *heard, _ = there.until(topics.transcripts, call, over)
                assert [(one.number, one.text) for one in heard] == [(n, f"{1600 + n} samples") for n in range(6)]
            assert there.everything(topics.dlq) == []
        finally:
            worker.stop()


def test_a_worker_that_finds_no_server_can_be_stopped_while_it_waits(own_broker: Broker, tmp_path: Path) -> None:
    worker = Worker("stt", tmp_path, VOICESTREAM_BROKER=own_broker.url, VOICESTREAM_STT_ENGINE="grpc://127.0.0.1:1")
    try:
        wait_until("the worker waits", lambda: "gets no clips for now" in worker.said())
        asked = time.monotonic()
        worker.terminate()
        worker.wait()
        assert time.monotonic() - asked < 15
    finally:
        worker.stop()


def test_segments_of_a_server_that_is_killed_are_transcribed_once_when_it_is_back(
    own_broker: Broker, tmp_path: Path
) -> None:
    built = sorted((ROOT / "build" / "native").glob("*/stt_server"))
    if not built:
        pytest.skip("the native server is not built: `make native`")
    jfk = read_audio(ROOT / "tests" / "data" / "jfk.flac").channel(0)[:32_000]
    address = f"127.0.0.1:{free_port()}"
    command = [str(built[0]), "--model", str(weights.pull("tiny.en")), "--listen", address, "--workers", "2"]
    there = Topics(own_broker.bootstrap, codec())
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    worker = Worker(
        "stt", tmp_path, VOICESTREAM_BROKER=own_broker.url, VOICESTREAM_STT_ENGINE=f"grpc://{address}",
        VOICESTREAM_STT_WORKERS="3", VOICESTREAM_STT_LANGUAGE="en",
    )  # fmt: skip
    try:
        worker.wait_ready()
        there.send(topics.segments, *(segment(call, n, jfk, 16_000) for n in range(3) for call in CALLS))
        there.send(topics.segments, *map(end, CALLS))
        there.until(topics.transcripts, "one", bool)
        server.kill()
        server.wait()
        wait_until("the worker notices", lambda: "gets no clips for now" in worker.said())
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for call in CALLS:
            *heard, _ = there.until(topics.transcripts, call, over)
            assert [(one.number, one.engine) for one in heard] == [(n, "grpc/tiny.en") for n in range(3)]
            assert all(one.text.startswith("And so my fellow American") for one in heard)
        assert there.everything(topics.dlq) == []
    finally:
        worker.stop()
        server.kill()
        server.wait()
