"""The stt stage when its engine can't be had: nothing lost, nothing twice, each call in order."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from voicestream.audio.codecs import Pcm
from voicestream.audio.files import read_audio

pytest.importorskip("grpc", reason="the engine grpc is not installed")

import grpc

from agents import stt
from tests.stt.stt_servers import ScriptedServer, beside, refuse, said
from voicestream import topics
from voicestream.errors import SttUnavailable
from voicestream.records import EndOfCall, SpeechSegment, Transcript
from voicestream.settings import settings
from voicestream.stt.failover import Outage
from voicestream.testing import TopologyTestDriver

AWAY = "grpc://127.0.0.1:1"


def segment(number: int, pcm: Pcm | None = None, rate: int = 8000) -> SpeechSegment:
    """Its length tells which one it is, to a server that counts samples."""
    pcm = np.resize(np.array([8000, -8000], np.int16), 1600 + number) if pcm is None else pcm
    ms = len(pcm) * 1000 // rate
    return SpeechSegment(
        utterance_id=f"c/agent/{number}", call_id="c", track="agent", number=number, start_ms=number * 1000,
        end_ms=number * 1000 + ms, voice_start_ms=number * 1000, voice_end_ms=number * 1000 + ms, speech_ms=ms,
        at_ms=number * 1000 + ms, closed_by="pause", sample_rate=rate, audio=pcm.astype("<i2").tobytes(),
    )  # fmt: skip


END = EndOfCall(call_id="c", stage="chunking", at_ms=99_000, duration_ms=99_000, reason="completed")


async def by_fallback(request: object, context: object) -> object:
    return said("by the fallback")


def figure(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setattr("voicestream.stt.grpc_client._READY_S", 20.0)
    yield monkeypatch
    settings.cache_clear()


@contextmanager
def driven(patch: pytest.MonkeyPatch, engine: str, fallback: str | None = None) -> Iterator[TopologyTestDriver]:
    patch.setenv("VOICESTREAM_STT_ENGINE", engine)
    if fallback is not None:
        patch.setenv("VOICESTREAM_STT_FALLBACK", fallback)
    settings.cache_clear()
    with TopologyTestDriver(stt.stage) as driver:
        yield driver
        assert len(stt.engines) == 1
    assert stt.engines == []


def test_segments_wait_for_a_server_that_is_away_and_none_is_lost_or_twice(
    patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = ScriptedServer()
    waited = figure("voicestream_stt_unavailable_total")
    with beside(server) as at, driven(patch, f"grpc://{server.address}") as driver:
        driver.topic(topics.segments).send(segment(0), segment(1))
        at.do(server.stop())
        at.later(2, server.start)
        driver.topic(topics.segments).send(segment(2), segment(3), END)
        *heard, end = driver.topic(topics.transcripts).read_all()
        assert [(one.number, one.text) for one in heard] == [(n, f"{1600 + n} samples") for n in range(4)]
        assert isinstance(end, EndOfCall)
        assert driver.topic(topics.dlq).read_all() == []
    waiting = [record.message for record in caplog.records if "segments wait" in record.message]
    assert len(waiting) == 1  # a line a minute
    assert server.address in waiting[0]
    assert figure("voicestream_stt_unavailable_total") > waited


def test_a_segment_that_will_never_be_understood_is_a_dead_letter_and_the_call_goes_on(
    patch: pytest.MonkeyPatch,
) -> None:
    server = ScriptedServer(script=(refuse(grpc.StatusCode.INVALID_ARGUMENT),))
    with beside(server), driven(patch, f"grpc://{server.address}") as driver:
        driver.topic(topics.segments).send(segment(0), segment(1))
        assert [one.number for one in driver.topic(topics.transcripts)] == [1]
        [letter] = driver.topic(topics.dlq).read_all()
        assert (letter.offset, letter.error) == (0, "SttError")


def test_the_fallback_takes_over_at_once_and_gives_back(patch: pytest.MonkeyPatch) -> None:
    main, spare = ScriptedServer(), ScriptedServer(by_fallback)
    fell_back = figure("voicestream_stt_fallbacks_total")
    with beside(main, spare) as at, driven(patch, f"grpc://{main.address}", f"grpc://{spare.address}") as driver:
        driver.topic(topics.segments).send(segment(0))
        at.do(main.stop())
        driver.topic(topics.segments).send(segment(1), segment(2))
        at.do(main.start())
        stt.engines[0].main.warm_up()  # returns when a probe has found it again
        driver.topic(topics.segments).send(segment(3), END)
        *heard, _ = driver.topic(topics.transcripts).read_all()
        assert [one.text for one in heard] == ["1600 samples", "by the fallback", "by the fallback", "1603 samples"]
        assert [one.number for one in heard] == [0, 1, 2, 3]
        assert figure("voicestream_stt_fallbacks_total") == fell_back + 2


def test_a_transcript_says_which_engine_made_it(patch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pywhispercpp", reason="the engine whisper.cpp is not installed")
    jfk = read_audio(Path(__file__).parents[1] / "data" / "jfk.flac").channel(0)
    server = ScriptedServer()
    with beside(server) as at, driven(patch, f"grpc://{server.address}", "whisper.cpp") as driver:
        driver.topic(topics.segments).send(segment(0))
        at.do(server.stop())
        driver.topic(topics.segments).send(segment(1, jfk[:40_000], 16_000))
        first, second = driver.topic(topics.transcripts).read_all()
        assert isinstance(first, Transcript)
        assert (first.engine, first.words) == ("grpc/tiny.en", [])
        assert isinstance(second, Transcript)
        assert (second.engine, second.words[-1].text) == ("whisper.cpp/tiny.en", "Americans.")
        assert second.words[0].start_ms >= 1000


def test_where_the_fallback_fails_too_the_segment_waits(patch: pytest.MonkeyPatch) -> None:
    main, spare = ScriptedServer(), ScriptedServer(refuse(grpc.StatusCode.INVALID_ARGUMENT))
    with beside(main, spare) as at, driven(patch, f"grpc://{main.address}", f"grpc://{spare.address}") as driver:
        at.do(main.stop())
        at.later(1.5, main.start)
        driver.topic(topics.segments).send(segment(0), segment(1))
        assert [one.text for one in driver.topic(topics.transcripts)] == ["1600 samples", "1601 samples"]
        assert driver.topic(topics.dlq).read_all() == []


def test_a_server_that_fails_on_clips_leaves_them_to_the_fallback(
    patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    main, spare = ScriptedServer(refuse(grpc.StatusCode.INTERNAL)), ScriptedServer(by_fallback)
    waited = figure("voicestream_stt_unavailable_total")
    with beside(main, spare), driven(patch, f"grpc://{main.address}", f"grpc://{spare.address}") as driver:
        driver.topic(topics.segments).send(*(segment(n) for n in range(6)))
        assert [one.text for one in driver.topic(topics.transcripts)] == ["by the fallback"] * 6
        assert driver.topic(topics.dlq).read_all() == []
    assert figure("voicestream_stt_unavailable_total") == waited
    assert caplog.text.count("grpc understands what grpc fails on: ") == 1  # a line a minute


def test_what_neither_engine_understands_is_one_dead_letter_in_the_words_of_the_first(
    patch: pytest.MonkeyPatch,
) -> None:
    refusing = refuse(grpc.StatusCode.INVALID_ARGUMENT)
    main, spare = ScriptedServer(script=(refusing,)), ScriptedServer(refusing)
    with beside(main, spare), driven(patch, f"grpc://{main.address}", f"grpc://{spare.address}") as driver:
        driver.topic(topics.segments).send(segment(0), segment(1))
        assert [one.number for one in driver.topic(topics.transcripts)] == [1]
        [letter] = driver.topic(topics.dlq).read_all()
        assert (letter.offset, letter.error) == (0, "SttError")
        assert main.address in letter.message
        assert len(spare.requests) == 1


def test_with_a_fallback_a_server_that_is_away_is_not_waited_for_and_found_later(
    patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patch.setattr("voicestream.stt.grpc_client._READY_S", 60.0)
    patch.setattr("voicestream.stt.failover._MORE_S", 0.5)
    patch.setenv("VOICESTREAM_STT_WORKERS", "1")
    caplog.set_level(logging.INFO)
    main, spare = ScriptedServer(), ScriptedServer(by_fallback)
    begun = time.monotonic()
    with beside(main, spare) as at:
        at.do(main.stop())
        with driven(patch, f"grpc://{main.address}", f"grpc://{spare.address}") as driver:
            driver.topic(topics.segments).send(segment(0))
            assert [one.text for one in driver.topic(topics.transcripts)] == ["by the fallback"]
            assert time.monotonic() - begun < 30
            assert "speech to text begins without grpc, which is not ready yet" in caplog.text
            at.do(main.start())
            stt.engines[0].main.warm_up()  # returns when a probe has found it
            driver.topic(topics.segments).send(segment(1))
            assert [one.text for one in driver.topic(topics.transcripts)] == ["1601 samples"]
            assert "speech to text by grpc/tiny.en from now on" in caplog.text


def test_a_stage_whose_server_is_still_waited_for_stops_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("voicestream.stt.grpc_client._READY_S", 60.0)
    patch.setattr("voicestream.stt.failover._MORE_S", 0.5)
    spare = ScriptedServer(by_fallback)
    with beside(spare):
        begun = time.monotonic()
        with driven(patch, AWAY, f"grpc://{spare.address}"):
            pass
        assert time.monotonic() - begun < 30


def test_with_a_fallback_the_stage_starts_without_its_server(
    patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patch.setattr("voicestream.stt.grpc_client._READY_S", 2.0)
    spare = ScriptedServer(by_fallback)
    with beside(spare), driven(patch, AWAY, f"grpc://{spare.address}") as driver:
        driver.topic(topics.segments).send(segment(0))
        assert [one.text for one in driver.topic(topics.transcripts)] == ["by the fallback"]
    assert "speech to text begins without grpc: no server of speech to text within 2 s" in caplog.text


def test_without_one_it_does_not_start(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("voicestream.stt.grpc_client._READY_S", 1.0)
    patch.setenv("VOICESTREAM_STT_ENGINE", AWAY)
    settings.cache_clear()
    with pytest.raises(SttUnavailable, match=r"no server of speech to text within 1 s \(127\.0\.0\.1:1: "):
        TopologyTestDriver(stt.stage).__enter__()
    assert stt.engines == []


def test_an_outage_is_told_at_once_every_minute_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = time.monotonic()
    outage = Outage(lambda: now)
    outage.is_over()
    for second in range(0, 150, 2):
        now += 2 if second else 0
        outage.goes_on(SttUnavailable("no server"))
    now += 12
    outage.is_over()
    outage.is_over()
    assert [record.message for record in caplog.records] == [
        f"speech to text is not to be had for {s} s, segments wait: no server" for s in (0, 60, 120)
    ] + ["speech to text goes on after 160 s"]
