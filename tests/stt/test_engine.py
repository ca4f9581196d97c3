"""What every engine must do."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from voicestream import weights
from voicestream.audio.codecs import Pcm, decode, encode
from voicestream.audio.resample import resample
from voicestream.errors import SttError, WeightsError
from voicestream.stt.engine import Clip, Recognition, SttEngine, load_engine
from voicestream.stt.guards import guard
from voicestream.stt.wer import word_error_rate

SAID = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"


def check(recognition: Recognition, clip: Clip) -> None:
    previous = 0
    for word in recognition.words:
        assert previous <= word.start_ms <= word.end_ms <= clip.duration_ms
        assert 0 <= word.confidence <= 1
        previous = word.end_ms
    assert " ".join(word.text for word in recognition.words) == recognition.text
    assert 0 <= recognition.confidence <= 1
    assert 0 <= recognition.no_speech_probability <= 1
    assert recognition.inference_ms > 0


def test_words_are_right_with_times_where_they_were_said(engine: SttEngine, jfk: Pcm) -> None:
    clip = Clip(jfk, 16000, "en")
    [heard] = engine.transcribe([clip])
    check(heard, clip)
    assert word_error_rate([(SAID, heard.text)]) == 0
    assert heard.language == "en"
    assert heard.no_speech_probability < 0.3
    second_ask = [word for word in heard.words if word.text.lower().startswith("ask")][1]
    assert 7900 <= second_ask.start_ms <= second_ask.end_ms <= 8900  # between two pauses, at 7.6 and 8.7 s


def test_telephone_audio_is_understood(engine: SttEngine, jfk: Pcm) -> None:
    clip = Clip(decode("mulaw", encode("mulaw", resample(jfk, 16000, 8000))), 8000, "en-US")
    [heard] = engine.transcribe([clip])
    check(heard, clip)
    assert word_error_rate([(SAID, heard.text)]) <= 0.1


def test_threads_at_once_hear_what_one_alone_hears(engine: SttEngine, jfk: Pcm) -> None:
    clips = [Clip(jfk[:64000], 16000), Clip(jfk[112000:], 16000)]
    alone = [engine.transcribe([clip])[0] for clip in clips]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(engine.transcribe, [clips, clips[::-1]]))
    for heard, expected in zip([*together[0], *together[1][::-1]], alone * 2, strict=True):
        assert heard.text == expected.text
        for word, other in zip(heard.words, expected.words, strict=True):
            assert (word.start_ms, word.end_ms) == (other.start_ms, other.end_ms)
            assert word.confidence == pytest.approx(other.confidence, abs=0.05)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.5])
def test_short_clips_give_few_words_in_time(engine: SttEngine, jfk: Pcm, seconds: float) -> None:
    clip = Clip(jfk[6400 : 6400 + int(seconds * 16000)], 16000)
    [heard] = engine.transcribe([clip])
    check(heard, clip)
    assert len(guard(heard, clip).recognition.words) <= 3


def test_the_shortest_speech_does_no_harm(engine: SttEngine, jfk: Pcm) -> None:
    """whisper.cpp, left to itself, aborts the process where it aligns the words of less than 160 ms."""
    for start in (6400, 12000, 24000):
        for samples in (1600, 2500):
            clip = Clip(jfk[start : start + samples], 16000, "en")
            check(engine.transcribe([clip])[0], clip)


@pytest.mark.parametrize("seconds", [30, 30.12])
def test_long_clips_are_heard_to_their_end(engine: SttEngine, jfk: Pcm, seconds: float) -> None:
    clip = Clip(np.resize(jfk, int(seconds * 16000)), 16000)
    [heard] = engine.transcribe([clip])
    check(heard, clip)
    assert len(heard.words) > 1.5 * seconds
    assert heard.words[-1].end_ms > (seconds - 4) * 1000


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("level", [0, 20, 500, 4000])
def test_silence_and_noise_hold_no_words(engine: SttEngine, rate: int, level: int) -> None:
    noise = np.random.default_rng(1).normal(0, level, 3 * rate).astype(np.int16)
    clip = Clip(noise, rate, "en")
    [heard] = engine.transcribe([clip])
    assert guard(heard, clip).recognition.text == ""


def test_no_clips_no_recognitions(engine: SttEngine) -> None:
    assert engine.transcribe([]) == []


def test_engine_says_what_it_is(engine: SttEngine) -> None:
    assert (engine.model, engine.capacity) == ("tiny.en", 2)


@pytest.mark.parametrize(("language", "message"), [("de", "English alone"), ("klingon", "doesn't know")])
def test_language_that_the_model_does_not_know_is_an_error(engine: SttEngine, language: str, message: str) -> None:
    with pytest.raises(SttError, match=message):
        engine.transcribe([Clip(np.zeros(16000, np.int16), 16000, language)])


def model_at(path: Path, engine_name: str, content: bytes) -> Path:
    """A model in the form of that engine, with `content` for its weights."""
    if engine_name == "whisper.cpp":
        path = path.with_suffix(".bin")
        path.write_bytes(content)
    else:
        shutil.copytree(weights.pull(weights.form("tiny.en", engine_name)), path)
        (path / "model.bin").write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"", b"this is no model" * 100])
def test_file_that_is_no_model_is_refused(tmp_path: Path, engine_name: str, content: bytes) -> None:
    path = model_at(tmp_path / "broken", engine_name, content)
    with pytest.raises(SttError, match=rf"{path} is no model that (whisper\.cpp|CTranslate2) can load"):
        load_engine(engine_name, str(path), capacity=1)


def test_model_that_is_cut_short_is_refused(tmp_path: Path, engine_name: str) -> None:
    whole = weights.pull(weights.form("tiny.en", engine_name))
    content = (whole / "model.bin" if whole.is_dir() else whole).read_bytes()[:5_000_000]
    path = model_at(tmp_path / "cut", engine_name, content)
    with pytest.raises(SttError, match=rf"{path} is no model that (whisper\.cpp|CTranslate2) can load"):
        load_engine(engine_name, str(path), capacity=1)


def test_missing_model_is_named(tmp_path: Path, engine_name: str) -> None:
    path = tmp_path / ("gone.bin" if engine_name == "whisper.cpp" else "gone")
    with pytest.raises(SttError, match=rf"there is no model (file|folder) {path}"):
        load_engine(engine_name, str(path), capacity=1)


def test_unknown_model_lists_the_known_ones(engine_name: str) -> None:
    with pytest.raises(WeightsError, match=r"'enormous.*': there are tiny\.en, base"):
        load_engine(engine_name, "enormous", capacity=1)


def test_unknown_engine_lists_the_installed_ones() -> None:
    with pytest.raises(SttError, match=r"'parrot'; installed: .*whisper\.cpp"):
        load_engine("parrot://localhost:1", "tiny.en", capacity=1)
