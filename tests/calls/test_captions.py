"""Captions: the words so far of those who speak, on real speech; and what is left out when there is no time."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from agents import captions, chunking, stt
from voicestream import topics
from voicestream.audio.files import read_audio
from voicestream.calls.captions import FORGET_MS, LATE_MS, PASSES, BackgroundThreads, Captions
from voicestream.errors import SettingsError, SttError, SttUnavailable
from voicestream.records import AudioChunk, EndOfCall, EndOfUtterance, SpeechPiece, Transcript
from voicestream.settings import settings
from voicestream.streams.clock import use_clock
from voicestream.stt.engine import Clip, Recognition, Word
from voicestream.stt.wer import word_error_rate
from voicestream.testing import TopologyTestDriver

START_MS = 1_700_000_000_000
SAID = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"
LOUD = np.tile(np.array([4_000, -4_000], np.int16), 8_000)  # a second that no guard takes for silence


@pytest.fixture
def captioned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VOICESTREAM_INTERIM_MS", "1000")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def spoken() -> list[AudioChunk | EndOfCall]:
    """jfk.flac, and two seconds of silence, as a gateway sends them."""
    pcm = read_audio(Path(__file__).parent.parent / "data" / "jfk.flac").channel(0)
    pcm = np.concatenate([pcm, np.zeros(32_000, np.int16)])
    chunks: list[AudioChunk | EndOfCall] = [
        AudioChunk(
            call_id="c",
            track="customer",
            sequence=n,
            start_ms=n * 100,
            duration_ms=100,
            at_ms=START_MS + (n + 1) * 100,
            codec="pcm16",
            sample_rate=16_000,
            audio=pcm[n * 1_600 : (n + 1) * 1_600].tobytes(),
        )
        for n in range(len(pcm) // 1_600)
    ]
    end = EndOfCall(call_id="c", stage="gateway", at_ms=START_MS + 13_000, duration_ms=13_000, reason="completed")
    return [*chunks, end]


@pytest.mark.usefixtures("captioned")
def test_the_words_appear_while_they_are_spoken() -> None:
    with TopologyTestDriver(chunking.stage, captions.stage, stt.stage) as driver:
        interims: list[Transcript] = []
        finals: list[Transcript] = []
        for chunk in spoken():
            driver.topic(topics.audio).send(chunk)
            done = {final.utterance_id for final in finals}
            for interim in driver.topic(topics.interims).read_all():
                assert interim.utterance_id not in done, "it comes before the final one"
                interims.append(interim)
            finals += [r for r in driver.topic(topics.transcripts).read_all() if isinstance(r, Transcript)]
        assert driver.topic(topics.dlq).read_all() == []
    assert word_error_rate([(SAID, " ".join(final.text for final in finals))]) < 0.1
    assert all(final.final for final in finals)
    for final in finals:
        mine = [interim for interim in interims if interim.utterance_id == final.utterance_id]
        assert not any(interim.final for interim in mine)
        texts = [interim.text for interim in mine]
        assert all(later.startswith(earlier) and later > earlier for earlier, later in pairwise(texts))
        assert all((i.start_ms, i.track, i.number) == (final.start_ms, final.track, final.number) for i in mine)
        assert all(final.start_ms - 200 <= w.start_ms <= w.end_ms <= i.end_ms for i in mine for w in i.words)
    longest = max(finals, key=lambda final: final.end_ms - final.start_ms)
    so_far = [interim.text for interim in interims if interim.utterance_id == longest.utterance_id]
    assert len(so_far) >= 2
    assert word_error_rate([(longest.text, so_far[-1])]) < 0.5


def test_the_stage_says_that_it_needs_the_setting() -> None:
    with pytest.raises(SettingsError, match="VOICESTREAM_INTERIM_MS"), TopologyTestDriver(captions.stage):
        pass


@pytest.mark.usefixtures("captioned")
def test_servers_that_are_away_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="the engine grpc is not installed")
    monkeypatch.setenv("VOICESTREAM_STT_ENGINE", "grpc://127.0.0.1:1")
    settings.cache_clear()
    begun = time.monotonic()
    with TopologyTestDriver(captions.stage):
        assert len(captions.captions) == 1
    assert time.monotonic() - begun < 30
    assert captions.captions == captions.engines == captions.threads == captions.starts == []


@dataclass
class Parrot:
    """An engine that hears one more word with every second; it may be slow, or refuse."""

    seconds: float = 0.0
    error: Exception | None = None
    heard: list[int] = field(default_factory=list)
    """The milliseconds of each clip."""
    marks: list[int] = field(default_factory=list)
    """The first sample of each."""
    name: str = "parrot"
    model: str = "green"
    capacity: int = 2

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        [clip] = clips
        assert clip.interim
        self.heard.append(clip.duration_ms)
        self.marks.append(int(clip.pcm[0]))
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        count = clip.duration_ms // 1_000
        words = tuple(Word(f"word{n}", n * 1_000, n * 1_000 + 900, 0.9) for n in range(count))
        return [Recognition(" ".join(w.text for w in words), words, 0.9, 0.0, "en", 1.0)]

    def warm_up(self) -> None: ...

    def close(self) -> None: ...


@pytest_asyncio.fixture
async def threads() -> AsyncIterator[BackgroundThreads]:
    pool = BackgroundThreads(2)
    yield pool
    pool.close()


def piece(number: int, call: str = "c", *, mark: int = 0, at_ms: int | None = None) -> SpeechPiece:
    """A second of a segment that began with the call; ``mark`` is its first sample."""
    return SpeechPiece(
        utterance_id=f"{call}/customer/0",
        call_id=call,
        track="customer",
        number=0,
        segment_start_ms=0,
        voice_start_ms=100,
        start_ms=number * 1_000,
        end_ms=(number + 1) * 1_000,
        at_ms=START_MS + (number + 1) * 1_000 if at_ms is None else at_ms,
        sample_rate=16_000,
        audio=np.concatenate([[np.int16(mark)], LOUD[1:]]).tobytes(),
    )


def over(call: str = "c") -> EndOfUtterance:
    return EndOfUtterance(
        utterance_id=f"{call}/customer/0", call_id=call, track="customer", number=0, stage="chunking", at_ms=START_MS
    )


def passes(outcome: str) -> float:
    return PASSES.labels(outcome)._value.get()


@pytest.fixture(autouse=True)
def clock() -> Iterator[list[int]]:
    """The time as it is told to the stage; a test may set it."""
    now = [START_MS]
    use_clock(lambda: now[0])
    yield now
    use_clock(lambda: time.time_ns() // 1_000_000)


async def test_what_two_passes_heard_is_shown(threads: BackgroundThreads) -> None:
    engine = Parrot()
    stage = Captions(engine, threads)
    assert await stage.hear([piece(0)]) == []
    [first] = await stage.hear([piece(1)])
    [second] = await stage.hear([piece(2)])
    assert (first.text, second.text) == ("word0", "word0 word1")
    assert (second.start_ms, second.end_ms, second.at_ms) == (100, 3_000, START_MS + 3_000)
    assert (second.final, second.engine, second.confidence) == (False, "parrot/green", pytest.approx(0.9))
    assert engine.heard == [1_000, 2_000, 3_000]


async def test_pieces_that_came_meanwhile_are_one_pass(threads: BackgroundThreads) -> None:
    engine = Parrot()
    stage = Captions(engine, threads)
    await stage.hear([piece(0), piece(1), piece(2), piece(0, "d")])
    assert sorted(engine.heard) == [1_000, 3_000]


async def test_a_piece_that_came_twice_counts_once(threads: BackgroundThreads) -> None:
    engine = Parrot()
    stage = Captions(engine, threads)
    for n in (0, 0, 1, 0, 1, 2):
        await stage.hear([piece(n)])
    assert engine.heard == [1_000, 2_000, 3_000]


async def test_an_utterance_of_which_a_piece_is_lost_is_left_out_and_the_others_go_on(
    threads: BackgroundThreads,
) -> None:
    engine = Parrot()
    stage = Captions(engine, threads)
    shown = []
    for n in range(5):
        lost = [] if n == 2 else [piece(n)]
        shown += await stage.hear([*lost, piece(n, "d")])
    assert [caption.text for caption in shown if caption.call_id == "c"] == ["word0"]
    assert len([caption for caption in shown if caption.call_id == "d"]) == 4


async def test_a_worker_that_comes_in_the_middle_leaves_that_utterance_out(threads: BackgroundThreads) -> None:
    engine = Parrot()
    stage = Captions(engine, threads)
    assert [await stage.hear([piece(n)]) for n in (3, 4, 5)] == [[], [], []]
    assert engine.heard == []


async def test_an_utterance_that_has_ended_is_left(threads: BackgroundThreads) -> None:
    engine = Parrot()
    stage = Captions(engine, threads)
    await stage.hear([piece(0)])
    assert await stage.hear([piece(1), over()]) == []
    assert engine.heard == [1_000]


async def test_what_is_late_is_not_transcribed(threads: BackgroundThreads, clock: list[int]) -> None:
    engine, before = Parrot(), passes("late")
    stage = Captions(engine, threads)
    clock[0] = START_MS + 1_000 + LATE_MS + 1
    assert await stage.hear([piece(0)]) == []
    assert engine.heard == []
    assert passes("late") == before + 1
    await stage.hear([piece(1)])
    assert engine.heard == [2_000], "its audio is there when the stage has caught up"


async def test_an_utterance_of_which_no_more_comes_is_forgotten(threads: BackgroundThreads, clock: list[int]) -> None:
    engine = Parrot()
    stage = Captions(engine, threads)
    await stage.hear([piece(0)])
    clock[0] += FORGET_MS
    await stage.hear([piece(0, "d", at_ms=clock[0])])
    assert await stage.hear([piece(1, at_ms=clock[0])]) == []
    assert engine.heard == [1_000, 1_000]


@pytest.mark.parametrize(
    ("error", "outcome"), [(SttUnavailable("full"), "unavailable"), (SttError("no such model"), "failed")]
)
async def test_a_pass_that_is_refused_is_counted_and_the_next_one_goes_on(
    threads: BackgroundThreads, error: SttError, outcome: str
) -> None:
    engine, before = Parrot(), passes(outcome)
    stage = Captions(engine, threads)
    await stage.hear([piece(0)])
    engine.error = error
    assert await stage.hear([piece(1)]) == []
    engine.error = None
    [caption] = await stage.hear([piece(2)])
    assert caption.text == "word0"
    assert passes(outcome) == before + 1


async def test_a_pass_that_hangs_is_not_waited_for(threads: BackgroundThreads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicestream.calls.captions.PASS_S", 0.2)
    engine, before = Parrot(seconds=1.0), passes("late")
    stage = Captions(engine, threads)
    begun = time.perf_counter()
    assert await stage.hear([piece(0)]) == []
    assert time.perf_counter() - begun < 0.9
    assert passes("late") == before + 1
    engine.seconds = 0.0
    await stage.hear([piece(1)])
    [caption] = await stage.hear([piece(2)])
    assert caption.text == "word0 word1"


async def test_under_load_a_batch_is_short_and_everybody_gets_a_turn(
    threads: BackgroundThreads, clock: list[int]
) -> None:
    """Two threads of 0.1 s a pass get through 10 or so in half a second, where 40 calls speak at once."""
    engine = Parrot(seconds=0.1)
    stage = Captions(engine, threads)
    longest = 0.0
    for n in range(6):
        clock[0] += 10
        begun = time.perf_counter()
        await stage.hear([piece(n, f"call-{call}", mark=call, at_ms=START_MS) for call in range(40)])
        longest = max(longest, time.perf_counter() - begun)
    assert longest < 1.5
    assert 40 < len(engine.marks) < 120, "what cannot be done is left out"
    assert sorted(engine.marks[:40]) == list(range(40)), "those who wait longest come first"


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
async def test_finals_take_precedence_on_the_same_machine(threads: BackgroundThreads) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert await threads.run(niceness) == min(niceness() + 10, 19)


async def test_the_loop_goes_on_while_a_pass_takes_its_time(threads: BackgroundThreads) -> None:
    stage = Captions(Parrot(seconds=0.3), threads)
    work = asyncio.create_task(stage.hear([piece(0)]))
    await asyncio.sleep(0.1)
    assert not work.done()
    await work
