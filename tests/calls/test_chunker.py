"""The chunking stage on real speech: the same segments, however the audio came and whenever a worker died."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import chunking
from voicestream import Stage, topics
from voicestream.audio.files import read_audio
from voicestream.audio.segmenter import Endpointing
from voicestream.calls.chunker import DEAD_LINE_MS, CallChunker, CallState
from voicestream.records import AudioChunk, EndOfCall, EndOfUtterance, SpeechPiece, SpeechSegment
from voicestream.testing import TopologyTestDriver

JFK = next((Path(__file__).parent.parent / "data").glob("jfk.*"))
CHUNK_MS = 100

in_pieces = Stage("in-pieces")
open_calls = in_pieces.store("calls", CallState)


@in_pieces.processor(topics.audio, out=(topics.segments, topics.speech), state=open_calls)
class InPieces(CallChunker):
    """Chunking with pieces of open segments, as for live captions."""

    def __init__(self) -> None:
        super().__init__(open_calls, Endpointing(piece_ms=1_000))


def speech(seconds: float = 30.0) -> np.ndarray:
    """jfk.wav over and over, 16 kHz int16, with a second of silence between."""
    audio = read_audio(JFK)
    once = np.concatenate([audio.channels[:, 0], np.zeros(audio.sample_rate, np.int16)])
    return np.tile(once, int(seconds * 16000 / len(once)) + 1)[: int(seconds * 16000)]


def chunks(pcm: np.ndarray, call: str = "c", track: str = "customer", first_ms: int = 0) -> list[AudioChunk]:
    size = 16 * CHUNK_MS
    return [
        AudioChunk(
            call_id=call,
            track=track,
            sequence=n,
            start_ms=first_ms + n * CHUNK_MS,
            duration_ms=len(piece) // 16,
            at_ms=1_700_000_000_000 + first_ms + (n + 1) * CHUNK_MS,
            codec="pcm16",
            sample_rate=16000,
            audio=piece.tobytes(),
        )
        for n, piece in enumerate(pcm[i : i + size] for i in range(0, len(pcm), size))
    ]


def end(call: str = "c") -> EndOfCall:
    return EndOfCall(call_id=call, stage="gateway", at_ms=1_700_000_030_000, duration_ms=30_000, reason="completed")


def distinct(segments: list[SpeechSegment | EndOfCall]) -> list[SpeechSegment]:
    """The segments by id, asserting that a segment that came twice came the same."""
    found: dict[str, SpeechSegment] = {}
    for segment in segments:
        if isinstance(segment, SpeechSegment):
            assert found.setdefault(segment.utterance_id, segment) == segment
    return list(found.values())


@pytest.fixture(scope="module")
def expected() -> list[SpeechSegment]:
    with TopologyTestDriver(chunking.stage) as driver:
        driver.topic(topics.audio).send(*chunks(speech()), end())
        out = driver.topic(topics.segments).read_all()
    assert isinstance(out[-1], EndOfCall)
    assert out[-1].stage == "chunking"
    return distinct(out)


def test_segments_hold_the_speech_and_are_numbered(expected):
    assert [segment.number for segment in expected] == list(range(len(expected)))
    assert len(expected) >= 4
    for segment in expected:
        assert len(segment.audio) == (segment.end_ms - segment.start_ms) * 16 * 2
        assert 0 <= segment.at_ms - 1_700_000_000_000 - segment.end_ms <= CHUNK_MS
        assert np.abs(np.frombuffer(segment.audio, "<i2").astype(int)).mean() > 300


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kill_after=st.integers(1, 299), back=st.integers(0, 40))
def test_a_worker_that_dies_anywhere_makes_the_same_segments(expected, kill_after, back):
    audio = chunks(speech())
    with TopologyTestDriver(chunking.stage) as driver:
        topic = driver.topic(topics.audio)
        for chunk in audio[:kill_after]:
            topic.send(chunk)
        needed = driver.committable(topics.audio)
        driver.restart(replay=min(kill_after, kill_after - needed + back))
        topic.send(*audio[kill_after:], end())
        assert distinct(driver.topic(topics.segments).read_all()) == expected


def test_audio_is_let_go_once_no_open_segment_needs_it():
    with TopologyTestDriver(chunking.stage) as driver:
        topic = driver.topic(topics.audio)
        for chunk in chunks(speech(30)):
            topic.send(chunk)
        assert driver.committable(topics.audio) > 100
        topic.send(end())
        assert driver.committable(topics.audio) == 301


def test_calls_and_tracks_do_not_mix(expected):
    audio = speech()
    with TopologyTestDriver(chunking.stage) as driver:
        both = zip(chunks(audio), chunks(audio, "d"), chunks(audio, "d", "agent"), strict=True)
        driver.topic(topics.audio).send(*(chunk for trio in both for chunk in trio), end(), end("d"))
        segments = distinct(driver.topic(topics.segments).read_all())
    for call, track in (("c", "customer"), ("d", "customer"), ("d", "agent")):
        mine = [s for s in segments if (s.call_id, s.track) == (call, track)]
        assert [s.audio for s in mine] == [s.audio for s in expected]


def test_a_gap_is_silence_and_the_clock_of_the_call_goes_on(expected):
    audio = chunks(speech(), first_ms=5_000)
    with TopologyTestDriver(chunking.stage) as driver:
        driver.topic(topics.audio).send(*audio, end())
        segments = distinct(driver.topic(topics.segments).read_all())
    assert [s.start_ms for s in segments] == pytest.approx([s.start_ms + 5_000 for s in expected], abs=64)


def test_a_gap_stays_where_it_was_whatever_comes_in_one_batch():
    before, after = chunks(speech(12)), chunks(speech(12), first_ms=32_000)
    after = [msgspec.structs.replace(c, sequence=c.sequence + len(before)) for c in after]
    after[0] = msgspec.structs.replace(after[0], gap_ms=20_000)
    found = []
    for send_at_once in (True, False):
        with TopologyTestDriver(chunking.stage) as driver:
            topic = driver.topic(topics.audio)
            if send_at_once:
                topic.send(*before, *after, end())
            else:
                for record in (*before, *after, end()):
                    topic.send(record)
            found.append(distinct(driver.topic(topics.segments).read_all()))
    assert found[0] == found[1]
    assert min(s.start_ms for s in found[0] if s.start_ms > 13_000) == pytest.approx(32_000, abs=600)


def test_a_chunk_that_came_twice_counts_once(expected):
    with TopologyTestDriver(chunking.stage) as driver:
        driver.topic(topics.audio).send(*(c for chunk in chunks(speech()) for c in (chunk, chunk)), end())
        assert distinct(driver.topic(topics.segments).read_all()) == expected


def test_a_line_that_dies_ends_after_a_while_and_late_audio_is_dropped():
    audio = chunks(speech(12))
    with TopologyTestDriver(chunking.stage) as driver:
        driver.topic(topics.audio).send(*audio[:-1])
        driver.advance(DEAD_LINE_MS + 1000)
        out = driver.topic(topics.segments).read_all()
        assert isinstance(out[-1], EndOfCall)
        assert out[-1].reason == "timeout"
        driver.topic(topics.audio).send(audio[-1], end())
        assert driver.topic(topics.segments).read_all() == []


def test_malformed_audio_is_a_dead_letter_and_the_rest_goes_on(expected):
    audio = chunks(speech())
    bad = [
        AudioChunk(
            call_id="x",
            track="mono",
            sequence=0,
            start_ms=0,
            duration_ms=1,
            at_ms=0,
            codec=codec,
            sample_rate=rate,
            audio=b"abc",
        )
        for codec, rate in (("opus", 8000), ("pcm16", 8000), ("mulaw", 11025))
    ]
    with TopologyTestDriver(chunking.stage) as driver:
        driver.topic(topics.audio).send(*bad, *audio, end())
        assert distinct(driver.topic(topics.segments).read_all()) == expected
        letters = driver.topic(topics.dlq).read_all()
    assert [letter.error for letter in letters] == ["AudioFormatError"] * 3
    assert "unknown codec 'opus'" in letters[0].message


def test_a_chunk_of_another_format_than_its_track_is_a_dead_letter_and_the_other_calls_go_on():
    other = [
        msgspec.structs.replace(chunk, codec="mulaw", sample_rate=8000, audio=b"\xff" * 801) if n == 20 else chunk
        for n, chunk in enumerate(chunks(speech(12), call="other"))
    ]
    with TopologyTestDriver(chunking.stage) as driver:
        driver.topic(topics.audio).send(*chunks(speech(12)), end())
        alone = [s.audio for s in driver.topic(topics.segments).read_all() if isinstance(s, SpeechSegment)]
    with TopologyTestDriver(chunking.stage) as driver:
        mixed = [chunk for pair in zip(chunks(speech(12)), other, strict=True) for chunk in pair]
        driver.topic(topics.audio).send(*mixed, end(), end("other"))
        segments = driver.topic(topics.segments).read_all()
        letters = driver.topic(topics.dlq).read_all()
    assert [letter.offset for letter in letters] == [41]
    assert "pcm16" in letters[0].message
    assert "mulaw" in letters[0].message
    assert [s.audio for s in segments if isinstance(s, SpeechSegment) and s.call_id == "c"] == alone
    assert {s.call_id for s in segments if isinstance(s, EndOfCall)} == {"c", "other"}


def joined(speech: list[SpeechPiece | EndOfUtterance]) -> dict[str, bytes]:
    """The audio of each utterance that was given out before its end, asserting that no piece is missing."""
    audio: dict[str, bytes] = {}
    end_ms: dict[str, int] = {}
    for record in speech:
        if isinstance(record, SpeechPiece) and record.end_ms > end_ms.get(record.utterance_id, record.segment_start_ms):
            assert record.start_ms == end_ms.get(record.utterance_id, record.segment_start_ms)
            audio[record.utterance_id] = audio.get(record.utterance_id, b"") + record.audio
            end_ms[record.utterance_id] = record.end_ms
    return audio


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kill_after=st.integers(1, 299), back=st.integers(0, 40), at_once=st.sampled_from([1, 7, 300]))
def test_the_pieces_are_the_audio_of_the_segments_wherever_a_worker_dies(expected, kill_after, back, at_once):
    audio = chunks(speech())
    with TopologyTestDriver(in_pieces) as driver:
        topic = driver.topic(topics.audio)
        for n in range(0, kill_after, at_once):
            topic.send(*audio[n : min(n + at_once, kill_after)])
        needed = driver.committable(topics.audio)
        driver.restart(replay=min(kill_after, kill_after - needed + back))
        topic.send(*audio[kill_after:], end())
        assert distinct(driver.topic(topics.segments).read_all()) == expected
        found = driver.topic(topics.speech).read_all()
    pieces = [record for record in found if isinstance(record, SpeechPiece)]
    by_place = {(piece.utterance_id, piece.start_ms): piece for piece in pieces}
    assert all(by_place[piece.utterance_id, piece.start_ms] == piece for piece in pieces)
    assert all(0 <= piece.at_ms - 1_700_000_000_000 - piece.end_ms <= CHUNK_MS for piece in pieces)
    audio_of = joined(found)
    assert audio_of.keys() == {s.utterance_id for s in expected if s.end_ms - s.start_ms >= 1_100}
    for segment in expected:
        given_out = audio_of.get(segment.utterance_id, b"")
        assert given_out[: len(segment.audio)] == segment.audio[: len(given_out)]
        assert len(segment.audio) - len(given_out) < 32_000 * 1.1


def test_the_end_of_an_utterance_is_behind_its_pieces():
    with TopologyTestDriver(in_pieces) as driver:
        driver.topic(topics.audio).send(*chunks(speech()), *chunks(speech(5.0), call="d"), end(), end("d"))
        found = driver.topic(topics.speech).read_all()
        segments = distinct(driver.topic(topics.segments).read_all())
    ends = [record for record in found if isinstance(record, EndOfUtterance)]
    assert sorted(record.utterance_id for record in ends) == sorted(segment.utterance_id for segment in segments)
    for record in ends:
        of_it = [other for other in found if other.utterance_id == record.utterance_id]
        assert of_it[-1] is record


def test_open_segments_are_given_out_only_if_they_are_asked_for():
    with TopologyTestDriver(chunking.stage) as driver:
        driver.topic(topics.audio).send(*chunks(speech()), end())
        assert driver.topic(topics.speech).read_all() == []
