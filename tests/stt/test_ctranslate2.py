"""What is particular to the engine ctranslate2."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from voicestream.audio.codecs import Pcm
from voicestream.stt.engine import Clip

ctranslate2 = pytest.importorskip("voicestream.stt.ctranslate2", reason="the engine ctranslate2 is not installed")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    engine = ctranslate2.CTranslate2("tiny.en", capacity=1)
    yield engine
    engine.close()


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the features that are computed."""
    seen = []
    log_mel = ctranslate2.log_mel
    monkeypatch.setattr(ctranslate2, "log_mel", lambda *args: seen.append(args[1]) or log_mel(*args))
    return seen


def test_context_is_cut_to_the_clip(engine: Any, jfk: Pcm, frames: list[int]) -> None:
    engine.transcribe([Clip(jfk[: int(seconds * 16000)], 16000, "en") for seconds in (1, 11)])
    assert frames == [768, 1280]  # 384 positions of the encoder, and 11 * 50 + 64 rounded up to 640


def test_what_comes_to_no_end_is_heard_again_in_a_longer_context(
    engine: Any, jfk: Pcm, frames: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctranslate2, "max_tokens", lambda samples: 3)
    [heard] = engine.transcribe([Clip(jfk[:48000], 16000, "en")])
    assert frames == [768, 1536, 3000]
    assert len(heard.words) == 3


def test_many_clips_come_back_in_order(engine: Any, jfk: Pcm) -> None:
    long, short = Clip(jfk, 16000, "en"), Clip(jfk[112000:], 16000, "en")
    silence = Clip(np.zeros(800, np.int16), 16000, "en")
    heard = engine.transcribe([short, long, silence, short, long])
    expected = [engine.transcribe([clip])[0].text for clip in (short, long)]
    assert [one.text for one in heard] == [*expected, "", *expected]
