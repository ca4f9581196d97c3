from importlib import resources

import numpy as np
import onnxruntime
import pytest

from voicestream.audio.codecs import Pcm
from voicestream.audio.resample import resample, to_float
from voicestream.audio.vad import VadState, VoiceActivity, window_samples


def probabilities(vad: VoiceActivity, tracks: list[Pcm], rate: int = 8000) -> np.ndarray:
    """One row a track."""
    size = window_samples(rate)
    windows = np.stack([to_float(track[: len(track) // size * size]).reshape(-1, size) for track in tracks])
    states = [VadState() for _ in tracks]
    return np.stack([vad.probabilities(windows[:, step], states, rate) for step in range(windows.shape[1])], axis=1)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_speech_is_told_from_hiss_and_tones(vad: VoiceActivity, speech: Pcm, noise: Pcm, rate: int) -> None:
    tone = (4000 * np.sin(2 * np.pi * 440 * np.arange(len(speech)) / 8000)).astype(np.int16)
    tracks = [resample(track[: len(speech)], 8000, rate) for track in (speech, noise, tone)]
    said, hiss, hum = probabilities(vad, tracks, rate)
    assert (said > 0.5).mean() > 0.5
    assert (hiss > 0.5).mean() < 0.02
    assert (hum > 0.5).mean() < 0.02


def test_a_track_does_not_depend_on_the_others_in_its_batch(vad: VoiceActivity, speech: Pcm, noise: Pcm) -> None:
    alone = probabilities(vad, [speech])[0]
    for others in (1, 6, 40):
        batch = [noise[i * 1000 : i * 1000 + len(speech)] for i in range(others)]
        assert np.array_equal(probabilities(vad, [*batch, speech])[-1], alone)


def test_probabilities_are_those_of_the_model_run_as_its_authors_do(vad: VoiceActivity, speech: Pcm) -> None:
    model = resources.files("voicestream.audio").joinpath("weights/silero_vad.onnx").read_bytes()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    state, context, expected = np.zeros((2, 1, 128), np.float32), np.zeros((1, 32), np.float32), []
    for window in to_float(speech[8000 : 8000 + 100 * 256]).reshape(100, 1, 256):
        heard = np.concatenate([context, window], axis=1)
        probability, state = session.run(None, {"input": heard, "state": state, "sr": np.array(8000)})
        context = heard[:, -32:]
        expected.append(probability[0, 0])
    assert probabilities(vad, [speech[8000 : 8000 + 100 * 256]])[0] == pytest.approx(np.array(expected), abs=1e-6)


def test_the_state_of_a_track_carries_over(vad: VoiceActivity, speech: Pcm) -> None:
    windows = to_float(speech[: 100 * 256]).reshape(100, 1, 256)
    state = VadState()
    going_on = [vad.probabilities(window, [state], 8000)[0] for window in windows]
    forgetful = [vad.probabilities(window, [VadState()], 8000)[0] for window in windows]
    assert np.abs(np.subtract(going_on, forgetful)).max() > 0.2


def test_long_digital_silence_is_no_speech_and_forgotten(vad: VoiceActivity, speech: Pcm) -> None:
    silence, speech = np.zeros(8000 * 4, np.int16), speech[8000:]
    found = probabilities(vad, [np.concatenate([silence, speech])])[0]
    assert found[34 : 8000 * 4 // 256].max() == 0.0
    assert np.array_equal(found[125:], probabilities(vad, [speech])[0][: len(found) - 125])


def test_wrong_shapes_and_rates_are_refused(vad: VoiceActivity) -> None:
    with pytest.raises(ValueError, match="44100"):
        vad.probabilities(np.zeros((1, 256), np.float32), [VadState()], 44100)
    with pytest.raises(ValueError, match="shape"):
        vad.probabilities(np.zeros((1, 512), np.float32), [VadState()], 8000)
