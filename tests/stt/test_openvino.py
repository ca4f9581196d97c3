"""What is particular to the engine openvino."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from voicestream import weights
from voicestream.audio.codecs import Pcm
from voicestream.stt.engine import Clip

pytest.importorskip("openvino", reason="the engine openvino is not installed")
whisper = pytest.importorskip("voicestream.stt.openvino_whisper")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    engine = whisper.OpenVino("tiny.en", capacity=1)
    yield engine
    engine.close()


def test_a_batch_hears_what_each_hears_alone_whatever_was_before_it(engine: Any, jfk: Pcm) -> None:
    """A batch that grows once read memory that was never written."""
    clips = [Clip(jfk[start : start + 48000], 16000, "en") for start in range(0, 128000, 16000)]
    alone = [engine.transcribe([clip])[0] for clip in clips]
    assert engine.transcribe(clips[:3]) != []
    for heard, expected in zip(engine.transcribe(clips), alone, strict=True):
        assert heard.text.lower().split()[:3] == expected.text.lower().split()[:3]


def test_word_times_are_those_of_ctranslate2(engine: Any, jfk: Pcm) -> None:
    ctranslate2 = pytest.importorskip("voicestream.stt.ctranslate2", reason="the engine ctranslate2 is not installed")
    other = ctranslate2.CTranslate2("tiny.en", capacity=1)
    [heard], [expected] = (one.transcribe([Clip(jfk, 16000, "en")]) for one in (engine, other))
    other.close()
    assert [word.text.strip(".,") for word in heard.words] == [word.text.strip(".,") for word in expected.words]
    apart = [abs(word.end_ms - own.end_ms) for word, own in zip(heard.words, expected.words, strict=True)]
    assert np.percentile(apart, 80) <= 40
    assert heard.confidence == pytest.approx(expected.confidence, abs=0.05)
    assert heard.no_speech_probability == pytest.approx(expected.no_speech_probability, abs=0.02)


def test_what_comes_to_no_end_is_heard_again_in_a_longer_context(
    engine: Any, jfk: Pcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = pytest.importorskip("voicestream.stt.openvino_decoding")
    frames: list[int] = []
    log_mel = decoding.log_mel
    monkeypatch.setattr(decoding, "log_mel", lambda *args: frames.append(args[1]) or log_mel(*args))
    monkeypatch.setattr(decoding, "max_tokens", lambda samples: 3)
    [heard] = engine.transcribe([Clip(jfk[:48000], 16000, "en")])
    assert frames == [768, 1536, 3000]
    assert len(heard.words) == 3


@pytest.mark.skipif(not weights.cached("base-ctranslate2"), reason="the model base is not in the cache")
def test_a_multilingual_model_finds_the_language_out(jfk: Pcm) -> None:
    engine = whisper.OpenVino("base", capacity=1)
    unknown, known = engine.transcribe([Clip(jfk[:64000], 16000), Clip(jfk[:64000], 16000, "en-US")])
    engine.close()
    assert unknown.language == known.language == "en"
    assert unknown.text == known.text != ""
