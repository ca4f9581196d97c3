"""The choice of an engine by the setting `auto`."""

import logging
from importlib.metadata import EntryPoint

import pytest

from voicestream.errors import SttError
from voicestream.stt import engine as engines
from voicestream.stt.engine import engine_name

WORKS = "voicestream.stt.wer:word_error_rate"  # auto only imports the factory
FAILS = "voicestream.stt.not_there:Engine"


def install(monkeypatch: pytest.MonkeyPatch, **factories: str) -> None:
    found = [EntryPoint(name.replace("whisper", "whisper.cpp"), path, "") for name, path in factories.items()]
    monkeypatch.setattr(engines, "entry_points", lambda group: found)


def test_the_fastest_engine_is_taken_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, whisper=WORKS, parrot=WORKS, ctranslate2=WORKS)
    with caplog.at_level(logging.INFO, "voicestream.stt.engine"):
        assert engine_name("auto", "tiny.en") == "ctranslate2"
    assert "speech to text by ctranslate2, the fastest engine that is installed" in caplog.text


class Unsuited:
    @staticmethod
    def unsuited() -> str:
        return "openvino is not for machines like this"


def test_an_engine_says_itself_where_others_are_faster(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, openvino=f"{__name__}:Unsuited", ctranslate2=WORKS)
    with caplog.at_level(logging.INFO, "voicestream.stt.engine"):
        assert engine_name("auto", "tiny.en") == "ctranslate2"
    assert "of the others: openvino is not for machines like this" in caplog.text


def test_an_engine_that_is_not_at_its_best_is_still_taken_before_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, openvino=f"{__name__}:Unsuited", whisper=WORKS)
    assert engine_name("auto", "tiny.en") == "openvino"


def test_openvino_has_the_models_of_ctranslate2(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, openvino=WORKS, whisper=WORKS)
    assert engine_name("auto", "base") == "openvino"
    assert engine_name("auto", "base.en") == "whisper.cpp"


@pytest.mark.parametrize(
    ("ctranslate2", "model", "reason"),
    [
        (FAILS, "tiny.en", "'ctranslate2' can't be imported: No module named"),
        (WORKS, "base.en", "ctranslate2 has no model base.en"),
        (WORKS, "/models/mine.bin", "ctranslate2 has no model /models/mine.bin"),
    ],
)
def test_an_engine_that_cannot_serve_is_passed_over_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ctranslate2: str, model: str, reason: str
) -> None:
    install(monkeypatch, whisper=WORKS, ctranslate2=ctranslate2)
    with caplog.at_level(logging.INFO, "voicestream.stt.engine"):
        assert engine_name("auto", model) == "whisper.cpp"
    assert reason in caplog.text


def test_auto_with_no_engine_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, whisper=FAILS)
    with pytest.raises(SttError, match=r"no engine of speech to text is installed: .*ctranslate2.*can't be imported"):
        engine_name("auto", "tiny.en")


def test_an_engine_that_is_asked_for_is_not_second_guessed() -> None:
    assert engine_name("grpc://localhost:1", "tiny.en") == "grpc"
