"""What the client of the native server does when the server is not as it should be."""

import numpy as np
import pytest

from voicestream.errors import SttError
from voicestream.stt.engine import Clip, load_engine

pytest.importorskip("grpc", reason="the engine grpc is not installed")


def test_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicestream.stt.grpc_client._CONNECT_S", 0.5)
    with pytest.raises(SttError, match=r"no server of speech to text at 127\.0\.0\.1:1 .*start `stt_server"):
        load_engine("grpc://127.0.0.1:1", "tiny.en", capacity=1)


def test_server_with_another_model_is_refused(stt_server: str) -> None:
    with pytest.raises(SttError, match=r"has the model tiny\.en, and base is asked for"):
        load_engine(stt_server, "base", capacity=1)


def test_clips_beyond_the_queue_are_sent_again_until_they_are_heard(stt_server: str) -> None:
    engine = load_engine(stt_server, "tiny.en", capacity=2)
    clips = [Clip(np.zeros(1600, np.int16), 16000, "en")] * 24  # the server takes two, and keeps sixteen waiting
    assert len(engine.transcribe(clips)) == 24
    engine.close()
