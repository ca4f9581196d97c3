"""The engine `whisper-cpp-python`: the Python package of that name, which carries whisper.cpp 1.4.1 of 2023.

For those who have a reason to run this package; `whisper.cpp` is newer and better in everything. Its class `Whisper`
wants files and heats the decoder to 0.8; here its library is called as `whisper.cpp` is.
"""

import ctypes
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import numpy as np
import numpy.typing as npt

from voicestream import weights
from voicestream.errors import SttError, WeightsError
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.ggml_file import read_ggml
from voicestream.stt.whisper import RATE, Token, context_of, language_of, max_tokens, noise, recognition_of, windows

try:
    from whisper_cpp_python import whisper_cpp as lib
except (ImportError, OSError) as error:
    raise ImportError(f"{error}: see docs/models.md for how whisper-cpp-python is installed") from error

_GREEDY: Final = 0
_CONTEXT_FLOOR: Final = 512  # below it the decoder falls into loops
_SHORTEST: Final = RATE + RATE // 10  # what is shorter than a second comes back without words


class WhisperCppPython:
    """The engine `whisper-cpp-python`.

    `model` is a name that `voicestream models list` knows, or the path of a ggml file in float16 or float32: this
    version aborts the process on the quantised files of today, so they are refused. `capacity` is the number of
    states, each of which computes on `threads` threads. Its word times are estimates by how loud the sound is, not by
    the attention of the model, and can be wrong by a second.

    Raises SttError when the model can't be loaded, and WeightsError when it can't be had.
    """

    name = "whisper-cpp-python"

    def __init__(self, model: str, *, capacity: int, threads: int = 1) -> None:
        path = (
            Path(model) if model.endswith(".bin") or os.sep in model else weights.pull(weights.form(model, self.name))
        )
        try:
            file = read_ggml(path)  # the library trusts it
        except WeightsError as error:
            raise SttError(str(error)) from error
        if file.quantized:
            raise SttError(
                f"{path} is quantised, which whisper-cpp-python (whisper.cpp 1.4.1) can't load: take the float16 file, "
                f"or the engine whisper.cpp"
            )
        self._context = lib.whisper_init_from_file_no_state(str(path).encode())
        if not self._context:
            raise SttError(f"{path} is no model that whisper-cpp-python can load")
        self.model = path.stem.removeprefix("ggml-")
        self.capacity = capacity
        self._threads = threads
        self._multilingual = file.multilingual
        self._languages = [lib.whisper_lang_str(index).decode() for index in range(lib.whisper_lang_max_id() + 1)]
        self._end_of_text = lib.whisper_token_eot(self._context)
        self._start = (ctypes.c_int * 1)(lib.whisper_token_sot(self._context))
        self._no_speech = lib.whisper_token_not(self._context) - 1
        self._states: SimpleQueue[int] = SimpleQueue()
        self._pool = ThreadPoolExecutor(capacity, thread_name_prefix="whisper-cpp-python")
        for _ in range(capacity):
            state = lib.whisper_init_state(self._context)
            if not state:
                self.close()
                raise SttError(f"no memory for {capacity} states of whisper.cpp: set fewer workers")
            self._states.put(state)

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when it fails or doesn't know the language."""
        return list(self._pool.map(self._transcribe, clips))

    def warm_up(self) -> None:
        """Run every state once, which allocates what it works with."""
        self.transcribe(noise(self.capacity))

    def close(self) -> None:
        """Wait for what is being transcribed, then free the model."""
        self._pool.shutdown()
        while not self._states.empty():
            lib.whisper_free_state(self._states.get())
        lib.whisper_free(self._context)
        self._context = None

    def _transcribe(self, clip: Clip) -> Recognition:
        started = time.perf_counter()
        asked = language_of(clip, self._languages, self.model, multilingual=self._multilingual)
        tokens: list[Token] = []
        no_speech: list[float] = []
        language = asked or "en"
        state = self._states.get()
        try:
            for start_ms, window in windows(clip):
                self._run(state, window, (asked or "auto").encode())
                no_speech.append(self._no_speech_probability(state))
                language = self._languages[lib.whisper_full_lang_id_from_state(state)]
                for segment in range(lib.whisper_full_n_segments_from_state(state)):
                    tokens += self._tokens(state, segment, start_ms)
        finally:
            self._states.put(state)
        ms = (time.perf_counter() - started) * 1000
        return recognition_of(clip, tokens, language, no_speech, ms)

    def _run(self, state: int, window: npt.NDArray[np.float32], language: bytes) -> None:
        padded = np.zeros(max(len(window), _SHORTEST), np.float32)
        padded[: len(window)] = window
        params = lib.whisper_full_default_params(_GREEDY)
        params.n_threads = self._threads
        params.print_progress = False
        params.print_timestamps = False
        params.no_context = True
        params.single_segment = True
        params.suppress_non_speech_tokens = True
        params.language = language
        params.temperature = 0.0
        params.temperature_inc = 0.0  # decoding again at a higher temperature costs up to five times the time
        params.token_timestamps = True
        params.audio_ctx = min(context_of(padded, _CONTEXT_FLOOR), lib.whisper_n_audio_ctx(self._context))
        params.max_tokens = max_tokens(window)
        samples = padded.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if code := lib.whisper_full_with_state(self._context, state, params, samples, len(padded)):
            raise SttError(f"whisper-cpp-python failed on {len(window) / RATE:.1f} s of audio with code {code}")

    def _no_speech_probability(self, state: int) -> float:
        """By the decoder's first step, taken again: this version doesn't keep what it said there."""
        if lib.whisper_decode_with_state(self._context, state, self._start, 1, 0, self._threads):
            raise SttError("whisper-cpp-python failed on the first step of the decoder")
        logits = np.ctypeslib.as_array(
            lib.whisper_get_logits_from_state(state), (lib.whisper_n_vocab(self._context),)
        ).astype(np.float64)
        return float(np.exp(logits[self._no_speech] - np.logaddexp.reduce(logits)))

    def _tokens(self, state: int, segment: int, offset_ms: int) -> Iterator[Token]:
        for i in range(lib.whisper_full_n_tokens_from_state(state, segment)):
            data = lib.whisper_full_get_token_data_from_state(state, segment, i)
            if data.id < self._end_of_text:
                text = lib.whisper_full_get_token_text_from_state(self._context, state, segment, i)
                yield Token(text, offset_ms + max(data.t1, 0) * 10, data.p)
