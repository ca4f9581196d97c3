"""Captions with real workers: the words so far are on their topic before the utterance has ended."""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Topics, Worker, wait_until
from voicestream import topics
from voicestream.audio.files import read_audio
from voicestream.codec import codec
from voicestream.embedded.broker import Broker
from voicestream.embedded.child import free_port
from voicestream.records import AudioChunk, SpeechPiece

pytestmark = pytest.mark.timeout(240)

PORT = free_port()
STARTED_AT_MS = time.time_ns() // 1_000_000 + 600_000  # so nothing is late, however busy the machine is


@pytest.fixture
def broker_of_workers(tmp_path: Path) -> Iterator[Topics]:
    with Broker(tmp_path / "broker.log") as broker:
        env = {"VOICESTREAM_BROKER": broker.url, "VOICESTREAM_INTERIM_MS": "1000"}
        workers = [
            Worker("chunking", tmp_path, **env),
            Worker("captions", tmp_path, **env, VOICESTREAM_METRICS_PORT=str(PORT)),
        ]
        try:
            for worker in workers:
                worker.wait_ready()
            yield Topics(broker.bootstrap, codec())
        finally:
            for worker in workers:
                worker.stop()


def passes() -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("voicestream_captions_passes_total"))


def spoken(from_s: int, to_s: int) -> list[AudioChunk]:
    """These seconds of jfk.flac; from 5.2 s to its end somebody speaks without a pause."""
    pcm = read_audio(Path(__file__).parents[1] / "data" / "jfk.flac").channel(0)
    return [
        AudioChunk(
            call_id="live",
            track="customer",
            sequence=n,
            start_ms=n * 100,
            duration_ms=100,
            at_ms=STARTED_AT_MS + n * 100,
            codec="pcm16",
            sample_rate=16_000,
            audio=pcm[n * 1_600 : (n + 1) * 1_600].tobytes(),
        )
        for n in range(from_s * 10, to_s * 10)
    ]


def test_the_words_so_far_are_there_before_the_utterance_has_ended(broker_of_workers: Topics) -> None:
    broker_of_workers.send(topics.audio, *spoken(0, 7))
    for second in range(7, 11):
        before = passes()
        broker_of_workers.send(topics.audio, *spoken(second, second + 1))
        wait_until("a pass over one more second", lambda before=before: passes() > before)
    captions = broker_of_workers.until(topics.interims, "live", lambda found: found and found[-1].number == 2)
    assert not any(caption.final for caption in captions)
    assert "what your country can do".startswith(captions[-1].text.lower()[:20])
    speech = broker_of_workers.everything(topics.speech)
    assert isinstance(speech[-1], SpeechPiece)
    assert speech[-1].utterance_id == captions[-1].utterance_id, "it goes on"
