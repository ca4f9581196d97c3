"""whisper.cpp in this process: one set of weights, and a state for each clip that is transcribed at the same time."""

import ctypes
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import numpy as np
import numpy.typing as npt

from voicestream import weights
from voicestream.errors import SttError
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.libwhisper import LibWhisper
from voicestream.stt.whisper import RATE, UNSPACED, Token, context_of, max_tokens, windows, words_of

_CONTEXT_FLOOR: Final = 512  # below it the decoder falls into loops
_NEVER: Final = 2.0  # a threshold that no probability reaches
_MULTILINGUAL_VOCABULARY: Final = 51865
_TOP_LAYERS: Final = 1  # whisper_alignment_heads_preset, as those below: layers of the decoder, English alone
_ALIGNMENT_PRESETS: Final = {
    (4, True): 3,
    (4, False): 4,
    (6, True): 5,
    (6, False): 6,
    (12, True): 7,
    (12, False): 8,
    (24, True): 9,
    (24, False): 10,
}


def _alignment(path: Path) -> tuple[int, int]:
    """Which attention heads follow the audio: whisper.cpp's list for the model, else the top layer's."""
    with path.open("rb") as file:
        header = file.read(48)
    if len(header) < 48:
        raise SttError(f"{path} is no model that whisper.cpp can load: it ends after {len(header)} bytes")
    n_vocab, n_text_layer = struct.unpack("<i28xi8x", header[4:])[:2]
    english = n_vocab < _MULTILINGUAL_VOCABULARY
    preset = _ALIGNMENT_PRESETS.get((n_text_layer, english))
    return (preset, -1) if preset else (_TOP_LAYERS, 1)


class WhisperCpp:
    """The engine `whisper.cpp`.

    `model` is a name that `voicestream models list` knows, or the path of a ggml file; `capacity` the number of states,
    each of which computes on `threads` threads. Raises SttError when whisper.cpp or the model can't be loaded, and
    WeightsError when the model can't be had.
    """

    name = "whisper.cpp"

    def __init__(self, model: str, *, capacity: int, threads: int = 1) -> None:
        path = Path(model) if model.endswith(".bin") else weights.pull(model)
        if not path.is_file():
            raise SttError(f"there is no model file {path}")
        self._whisper = LibWhisper()
        self._lib = self._whisper.lib
        params = self._whisper.context_params()
        params.dtw_token_timestamps = True
        params.dtw_aheads_preset, params.dtw_n_top = _alignment(path)
        params.flash_attn = False  # which hides the attention that the times are read from
        self._context = self._lib.whisper_init_from_file_with_params_no_state(str(path).encode(), params)
        if not self._context:
            raise SttError(f"{path} is no model that whisper.cpp can load: it is damaged, or not in ggml format")
        self.model = path.stem.removeprefix("ggml-")
        self.capacity = capacity
        self._threads = threads
        self._multilingual = bool(self._lib.whisper_is_multilingual(self._context))
        self._context_size = self._lib.whisper_n_audio_ctx(self._context)
        self._end_of_text = self._lib.whisper_token_eot(self._context)
        self._states: SimpleQueue[int] = SimpleQueue()
        self._pool = ThreadPoolExecutor(capacity, thread_name_prefix="whisper")
        for _ in range(capacity):
            state = self._lib.whisper_init_state(self._context)
            if not state:
                self.close()
                raise SttError(f"no memory for {capacity} states of whisper.cpp: set fewer workers")
            self._states.put(state)

    def transcribe(self, clips: Sequence[Clip]) -> list[Recognition]:
        """One recognition for each clip, in order; SttError when whisper.cpp fails or doesn't know the language."""
        return list(self._pool.map(self._transcribe, clips))

    def warm_up(self) -> None:
        """Run every state once, which allocates what it works with."""
        noise = np.random.default_rng(0).normal(0, 300, RATE).astype(np.int16)
        self.transcribe([Clip(noise, RATE, "en")] * self.capacity)

    def close(self) -> None:
        """Wait for what is being transcribed, then free the model."""
        self._pool.shutdown()
        while not self._states.empty():
            self._lib.whisper_free_state(self._states.get())
        self._lib.whisper_free(self._context)
        self._context = None

    def _transcribe(self, clip: Clip) -> Recognition:
        started = time.perf_counter()
        asked = self._language(clip)
        tokens: list[Token] = []
        no_speech: list[float] = []
        state = self._states.get()
        try:
            for start_ms, window in windows(clip):
                self._run(state, window, asked)
                for segment in range(self._lib.whisper_full_n_segments_from_state(state)):
                    no_speech.append(self._lib.whisper_full_get_segment_no_speech_prob_from_state(state, segment))
                    tokens += self._tokens(state, segment, start_ms)
            language = self._lib.whisper_lang_str(self._lib.whisper_full_lang_id_from_state(state)).decode()
        finally:
            self._states.put(state)
        words = words_of(tokens, clip.duration_ms, spaced=language not in UNSPACED)
        return Recognition(
            text=b"".join(token.text for token in tokens).decode(errors="ignore").strip(),
            words=words,
            confidence=float(np.mean([word.confidence for word in words])) if words else 0.0,
            no_speech_probability=min(no_speech, default=1.0),
            language=language,
            inference_ms=(time.perf_counter() - started) * 1000,
        )

    def _run(self, state: int, window: npt.NDArray[np.float32], language: bytes) -> None:
        params = self._whisper.full_params()
        params.n_threads = self._threads
        params.print_progress = False
        params.print_timestamps = False
        params.single_segment = True
        params.suppress_nst = True
        params.language = language
        params.greedy_best_of = 1
        params.temperature_inc = 0.0  # decoding again at a higher temperature costs up to five times the time
        params.no_speech_thold = _NEVER  # the guards decide what is silence, and say so
        params.audio_ctx = min(context_of(window, _CONTEXT_FLOOR), self._context_size)
        params.max_tokens = max_tokens(window)
        code = self._lib.whisper_full_with_state(
            self._context, state, params, window.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), len(window)
        )
        if code:
            seconds = len(window) / RATE
            raise SttError(f"whisper.cpp failed on {seconds:.1f} s of audio with code {code}")

    def _language(self, clip: Clip) -> bytes:
        if clip.language is None:
            return b"auto" if self._multilingual else b"en"
        language = clip.language.partition("-")[0].lower()
        if self._lib.whisper_lang_id(language.encode()) < 0:
            raise SttError(f"whisper.cpp doesn't know the language {clip.language!r}")
        if language != "en" and not self._multilingual:
            raise SttError(f"the model {self.model} knows English alone, the clip is in {clip.language!r}: use base")
        return language.encode()

    def _tokens(self, state: int, segment: int, offset_ms: int) -> Iterator[Token]:
        for i in range(self._lib.whisper_full_n_tokens_from_state(state, segment)):
            data = self._lib.whisper_full_get_token_data_from_state(state, segment, i)
            if data.id < self._end_of_text:
                text = self._lib.whisper_full_get_token_text_from_state(self._context, state, segment, i)
                yield Token(text, offset_ms + data.t_dtw * 10, data.p)
