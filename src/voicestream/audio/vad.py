"""Voice activity: the probability that 32 ms of audio hold speech, for many tracks in one step of the model.

The model is Silero VAD v6 (MIT; see `weights/README.md`), a small recurrent network. Each track has its own state.
"""

from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime

from voicestream.errors import WeightsError

WINDOW_MS: Final = 32
"""The model's step; a whole number of samples at both rates."""

VAD_RATES: Final = (8000, 16000)

_SHA256: Final = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
_HIDDEN: Final = (2, 128)
_CONTEXT_MS: Final = 4

# A-law has no code for zero: an idle line decodes to +-8.
_SILENCE_PEAK: Final = 8 / 32768
_SILENCE_WINDOWS: Final = 32


def window_samples(rate: int) -> int:
    """Samples of one window at 8000 or 16000 Hz."""
    return rate * WINDOW_MS // 1000


class VadState(msgspec.Struct):
    """What the model remembers of one track between windows."""

    hidden: bytes = bytes(4 * 2 * 128)
    """Recurrent state, float32 of shape (2, 128)."""
    context: bytes = b""
    """The last 4 ms before the next window, float32; empty at the start."""
    silent_windows: int = 0
    """Length of the run of digital silence up to now."""


class VoiceActivity:
    """Silero VAD on onnxruntime, one thread. The result of a track does not depend on the others in its batch."""

    def __init__(self) -> None:
        weights = resources.files("voicestream.audio").joinpath("weights/silero_vad.onnx").read_bytes()
        if sha256(weights).hexdigest() != _SHA256:
            raise WeightsError("audio/weights/silero_vad.onnx is damaged (SHA-256 differs): install voicestream again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def probabilities(
        self, windows: npt.NDArray[np.float32], states: Sequence[VadState], rate: int
    ) -> npt.NDArray[np.float32]:
        """Speech probability of one window of each of n tracks; brings their states up to date.

        `windows` is (n, 256) at 8000 Hz or (n, 512) at 16000 Hz, in [-1, 1]; the result is (n,). The n states must be
        different objects. A track that has been digitally silent for a second is reset, and costs nothing until there
        is sound again.
        """
        if rate not in VAD_RATES:
            raise ValueError(f"rate {rate} Hz: the model takes {VAD_RATES}")
        if windows.shape != (len(states), window_samples(rate)):
            raise ValueError(f"windows of shape {windows.shape}: need {(len(states), window_samples(rate))}")
        result = np.zeros(len(states), np.float32)
        loud = np.abs(windows).max(axis=1, initial=0.0) > _SILENCE_PEAK
        running = []
        for row, state in enumerate(states):
            state.silent_windows = 0 if loud[row] else state.silent_windows + 1
            if state.silent_windows <= _SILENCE_WINDOWS:
                running.append(row)
            else:
                state.hidden, state.context = bytes(len(state.hidden)), b""
        if running:
            result[running] = self._step(windows[running], [states[row] for row in running], rate)
        return result

    def _step(self, windows: npt.NDArray[np.float32], states: Sequence[VadState], rate: int) -> npt.NDArray[np.float32]:
        count = len(states)
        samples = rate * _CONTEXT_MS // 1000
        empty = bytes(4 * samples)
        context = np.frombuffer(b"".join([s.context or empty for s in states]), np.float32).reshape(count, samples)
        hidden = np.frombuffer(b"".join([s.hidden for s in states]), np.float32).reshape(count, *_HIDDEN)
        output, hidden = self._session.run(
            None,
            {
                "input": np.concatenate([context, windows], axis=1),
                "state": np.ascontiguousarray(hidden.transpose(1, 0, 2)),
                "sr": np.array(rate, np.int64),
            },
        )
        tails = windows[:, -samples:]
        for row, state in enumerate(states):
            state.hidden = hidden[:, row].tobytes()
            state.context = tails[row].tobytes()
        probabilities: npt.NDArray[np.float32] = output[:, 0]
        return probabilities
