"""What every engine of speech to text must do, as tests for pytest: for those who write an engine.

A test module of the engine's package has a class that derives from `EngineContract`, and four fixtures for it:

    @pytest.fixture(scope="module")
    def engine(): ...  # the engine with capacity 2, warmed up

    @pytest.fixture
    def make_engine(): ...  # a function: a new engine with capacity 1 for the model of a path

    @pytest.fixture
    def model(): ...  # the Path of a model that works; a string where the engine loads no files

    @pytest.fixture
    def speech(): ...  # Speech: a few seconds in a language that the model knows

    class TestParrot(EngineContract):
        word_errors = 0.2

What a recogniser can't do by its nature is said by the attributes of the class, not by leaving out tests.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import pytest

from voicestream.audio.codecs import decode, encode
from voicestream.audio.resample import resample
from voicestream.errors import SttError, WeightsError
from voicestream.stt.engine import Clip, Recognition, SttEngine
from voicestream.stt.guards import guard
from voicestream.stt.wer import word_error_rate

_PATIENCE_S: Final = 100  # a call that takes longer hangs
_RNG_SEED: Final = 1

MakeEngine = Callable[[str], SttEngine]


@dataclass(frozen=True, slots=True)
class Speech:
    """A clip at 16 kHz and what is said in it."""

    clip: Clip
    text: str


def check(recognition: Recognition, clip: Clip) -> None:
    """That a recognition is one of this clip: words in order and within it, probabilities that are some."""
    previous = 0
    for word in recognition.words:
        assert previous <= word.start_ms <= word.end_ms <= clip.duration_ms
        assert 0 <= word.confidence <= 1
        previous = word.end_ms
    assert " ".join(word.text for word in recognition.words) == recognition.text
    assert 0 <= recognition.confidence <= 1
    assert 0 <= recognition.no_speech_probability <= 1
    assert recognition.inference_ms > 0


class EngineContract:
    """The tests; derive from it and see the module's docstring."""

    word_errors: ClassVar[float] = 0.0
    """The share of words that may be wrong in `speech`."""
    telephone_word_errors: ClassVar[float] = 0.1
    """The same where it is heard over the telephone."""
    times_words: ClassVar[bool] = True
    """False: the recogniser doesn't say when a word was spoken, the engine estimates."""

    def test_words_are_right(self, engine: SttEngine, speech: Speech) -> None:
        [heard] = engine.transcribe([speech.clip])
        check(heard, speech.clip)
        assert word_error_rate([(speech.text, heard.text)]) <= self.word_errors
        assert heard.no_speech_probability < 0.3

    def test_telephone_audio_is_understood(self, engine: SttEngine, speech: Speech) -> None:
        pcm = decode("mulaw", encode("mulaw", resample(speech.clip.pcm, 16000, 8000)))
        clip = Clip(pcm, 8000, speech.clip.language)
        [heard] = engine.transcribe([clip])
        check(heard, clip)
        assert word_error_rate([(speech.text, heard.text)]) <= self.telephone_word_errors

    def test_words_have_the_times_at_which_they_were_said(self, engine: SttEngine, speech: Speech) -> None:
        if not self.times_words:
            pytest.skip("this recogniser has no word times")
        lead_ms = 2000
        silence = np.random.default_rng(_RNG_SEED).normal(0, 5, 32000).astype(np.int16)
        clip = Clip(np.concatenate([silence, speech.clip.pcm]), 16000, speech.clip.language)
        [heard] = engine.transcribe([clip])
        check(heard, clip)
        late = [word for word in heard.words if word.end_ms > lead_ms]
        assert len(late) >= 0.9 * len(heard.words) > 0

    def test_threads_at_once_hear_what_one_alone_hears(self, engine: SttEngine, speech: Speech) -> None:
        middle = len(speech.clip.pcm) // 2
        clips = [Clip(pcm, 16000, speech.clip.language) for pcm in (speech.clip.pcm[:middle], speech.clip.pcm[middle:])]
        alone = [engine.transcribe([clip])[0] for clip in clips]
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(engine.transcribe, [clips, clips[::-1]]))
        for heard, expected in zip([*together[0], *together[1][::-1]], alone * 2, strict=True):
            assert heard.text == expected.text
            for word, other in zip(heard.words, expected.words, strict=True):
                assert (word.start_ms, word.end_ms) == (other.start_ms, other.end_ms)
                assert word.confidence == pytest.approx(other.confidence, abs=0.05)

    @pytest.mark.parametrize("seconds", [0, 0.02, 0.1, 0.15, 0.5])
    def test_short_clips_give_few_words_in_time(self, engine: SttEngine, speech: Speech, seconds: float) -> None:
        clip = Clip(speech.clip.pcm[6400 : 6400 + int(seconds * 16000)], 16000, speech.clip.language)
        [heard] = engine.transcribe([clip])
        check(heard, clip)
        assert len(guard(heard, clip).recognition.words) <= 3

    @pytest.mark.parametrize("seconds", [30, 30.12])
    def test_long_clips_are_heard_to_their_end(self, engine: SttEngine, speech: Speech, seconds: float) -> None:
        clip = Clip(np.resize(speech.clip.pcm, int(seconds * 16000)), 16000, speech.clip.language)
        [heard] = engine.transcribe([clip])
        check(heard, clip)
        said_per_s = len(speech.text.split()) / (speech.clip.duration_ms / 1000)
        assert len(heard.words) > 0.75 * said_per_s * seconds
        assert heard.words[-1].end_ms > (seconds - 4) * 1000

    @pytest.mark.parametrize("rate", [8000, 16000])
    @pytest.mark.parametrize("level", [0, 20, 500, 4000])
    def test_silence_and_noise_hold_no_words(self, engine: SttEngine, rate: int, level: int) -> None:
        noise = np.random.default_rng(_RNG_SEED).normal(0, level, 3 * rate).astype(np.int16)
        clip = Clip(noise, rate, "en")
        [heard] = engine.transcribe([clip])
        assert guard(heard, clip).recognition.text == ""

    def test_no_clips_no_recognitions(self, engine: SttEngine) -> None:
        assert engine.transcribe([]) == []

    def test_recognitions_come_in_the_order_of_the_clips(self, engine: SttEngine, speech: Speech) -> None:
        silence = Clip(np.zeros(800, np.int16), 16000, speech.clip.language)
        half = Clip(speech.clip.pcm[: len(speech.clip.pcm) // 2], 16000, speech.clip.language)
        heard = engine.transcribe([half, silence, speech.clip])
        assert len(heard[0].words) < len(heard[2].words)
        assert heard[1].text == ""
        for one, clip in zip(heard, (half, silence, speech.clip), strict=True):
            check(one, clip)

    def test_a_caller_that_gives_up_half_way_does_no_harm(self, engine: SttEngine, speech: Speech) -> None:
        """The task is cancelled, its thread goes on: the engine is used again at once."""
        [expected] = engine.transcribe([speech.clip])

        async def give_up_and_ask_again() -> list[Recognition]:
            given_up = [asyncio.create_task(asyncio.to_thread(engine.transcribe, [speech.clip])) for _ in range(3)]
            await asyncio.sleep(0.05)
            for task in given_up:
                task.cancel()
            outcomes = await asyncio.gather(*given_up, return_exceptions=True)
            # An engine that holds Python's lock may be done before the task can be cancelled.
            assert all(isinstance(outcome, asyncio.CancelledError | list) for outcome in outcomes)
            async with asyncio.timeout(_PATIENCE_S):
                return await asyncio.to_thread(engine.transcribe, [speech.clip])

        [heard] = asyncio.run(give_up_and_ask_again())
        assert heard.text == expected.text

    def test_closing_while_it_works_ends(self, make_engine: MakeEngine, model: Path | str, speech: Speech) -> None:
        """The call is finished or fails, and nothing hangs or crashes."""
        engine = make_engine(str(model))
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(engine.transcribe, [speech.clip])
            time.sleep(0.1)
            engine.close()
            try:
                [heard] = call.result(timeout=_PATIENCE_S)
            except (SttError, RuntimeError):
                return
        assert word_error_rate([(speech.text, heard.text)]) <= self.word_errors

    def test_engine_says_what_it_is(self, engine: SttEngine) -> None:
        assert engine.name
        assert engine.model
        assert engine.capacity == 2

    @pytest.mark.parametrize("damage", ["empty", "cut", "random bytes", "another format"])
    def test_a_broken_model_is_a_clear_error(
        self, make_engine: MakeEngine, model: Path | str, tmp_path: Path, damage: str
    ) -> None:
        """The largest of its files is damaged; the error names it, and the process lives."""
        broken = _copy(model, tmp_path)
        file = broken if broken.is_file() else max(broken.rglob("*"), key=lambda path: path.stat().st_size)
        whole = file.read_bytes()
        contents = {
            "empty": b"",
            "cut": whole[: len(whole) // 3],
            "random bytes": np.random.default_rng(_RNG_SEED).bytes(100_000),
            "another format": b"PK\3\4" + b"this is no model" * 1000,
        }
        file.write_bytes(contents[damage])
        with pytest.raises((SttError, WeightsError)) as caught:
            make_engine(str(broken))
        assert str(broken) in str(caught.value)

    def test_a_missing_model_is_named(self, make_engine: MakeEngine, model: Path | str, tmp_path: Path) -> None:
        if isinstance(model, str):
            pytest.skip("this engine loads no files")
        missing = tmp_path / f"missing{model.suffix if model.is_file() else ''}"
        with pytest.raises((SttError, WeightsError)) as caught:
            make_engine(str(missing))
        assert str(missing) in str(caught.value)


def _copy(model: Path | str, folder: Path) -> Path:
    if isinstance(model, str):
        pytest.skip("this engine loads no files")
    copied = folder / model.name
    if model.is_dir():
        shutil.copytree(model, copied)
    else:
        shutil.copyfile(model, copied)
    return copied
