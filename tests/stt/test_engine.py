"""What every engine must do, and every engine of Whisper."""

from collections.abc import Callable

import numpy as np
import pytest

from voicestream.audio.codecs import Pcm, decode, encode
from voicestream.audio.resample import resample
from voicestream.errors import SttError, WeightsError
from voicestream.stt.contract import EngineContract, Speech, check
from voicestream.stt.engine import Clip, SttEngine, load_engine

UNTIMED = {"whisper-cpp-python": "whisper.cpp 1.4.1 estimates when a word was said from how loud it is"}


class TestEngine(EngineContract):
    """The contract, for each engine that is installed."""

    def test_words_have_the_times_at_which_they_were_said(self, engine: SttEngine, speech: Speech) -> None:
        if engine.name in UNTIMED:
            pytest.skip(UNTIMED[engine.name])
        super().test_words_have_the_times_at_which_they_were_said(engine, speech)


def test_words_stand_between_the_pauses_around_them(engine: SttEngine, jfk: Pcm) -> None:
    if engine.name in UNTIMED:
        pytest.skip(UNTIMED[engine.name])
    [heard] = engine.transcribe([Clip(jfk, 16000, "en")])
    second_ask = [word for word in heard.words if word.text.lower().startswith("ask")][1]
    assert 7900 <= second_ask.start_ms <= second_ask.end_ms <= 8900  # the pauses are at 7.6 and 8.7 s


def test_a_country_beside_the_language_does_no_harm(engine: SttEngine, jfk: Pcm) -> None:
    clip = Clip(decode("mulaw", encode("mulaw", resample(jfk[:48000], 16000, 8000))), 8000, "en-US")
    [heard] = engine.transcribe([clip])
    check(heard, clip)
    assert heard.language == "en"


def test_the_shortest_speech_does_no_harm(engine: SttEngine, jfk: Pcm) -> None:
    """whisper.cpp, left to itself, aborts the process where it aligns the words of less than 160 ms."""
    for start in (6400, 12000, 24000):
        for samples in (1600, 2500):
            clip = Clip(jfk[start : start + samples], 16000, "en")
            check(engine.transcribe([clip])[0], clip)


def test_model_has_the_name_that_was_asked_for(engine: SttEngine) -> None:
    assert engine.model == "tiny.en"


@pytest.mark.parametrize(("language", "message"), [("de", "English alone"), ("klingon", "doesn't know")])
def test_language_that_the_model_does_not_know_is_an_error(engine: SttEngine, language: str, message: str) -> None:
    with pytest.raises(SttError, match=message):
        engine.transcribe([Clip(np.zeros(16000, np.int16), 16000, language)])


def test_unknown_model_is_an_error_that_names_it(engine_name: str, make_engine: Callable[[str], SttEngine]) -> None:
    if engine_name == "grpc":
        pytest.skip("the servers have their model; tests/stt/test_grpc_client.py has another one asked for")
    with pytest.raises((SttError, WeightsError), match="enormous"):
        make_engine("enormous")


def test_unknown_engine_lists_the_installed_ones() -> None:
    with pytest.raises(SttError, match=r"'parrot'; installed: .*whisper\.cpp"):
        load_engine("parrot://localhost:1", "tiny.en", capacity=1)
