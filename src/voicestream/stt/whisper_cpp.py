"""whisper.cpp in this process: one set of weights, and a state for each clip that is transcribed at the same time."""

import ctypes
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import numpy as np
import numpy.typing as npt

from voicestream import weights
from voicestream.errors import SttError, WeightsError
from voicestream.stt.engine import Clip, Recognition
from voicestream.stt.ggml_file import GgmlFile, read_ggml
from voicestream.stt.libwhisper import AbortCallback, LibWhisper
from voicestream.stt.whisper import (
    CONTEXT_FLOOR,
    RATE,
    Token,
    context_of,
    language_of,
    max_tokens,
    noise,
    recognition_of,
    windows,
)

_NEVER: Final = 2.0  # a threshold that no probability reaches
_TOP_LAYERS: Final = 1  # whisper_alignment_heads_preset, as below
_ALIGNMENT_PRESETS: Final = {  # layers of encoder and decoder, mel bands, English alone
    (4, 4, 80, True): 3,
    (4, 4, 80, False): 4,
    (6, 6, 80, True): 5,
    (6, 6, 80, False): 6,
    (12, 12, 80, True): 7,
    (12, 12, 80, False): 8,
    (24, 24, 80, True): 9,
    (24, 24, 80, False): 10,
    (32, 32, 128, False): 13,
    (32, 4, 128, False): 14,  # large-v3-turbo
}
_CPU_INFO: Final = Path("/proc/cpuinfo")


@dataclass(slots=True)
class _Hearing:
    """A window that a state works on: the language it is decoded in, and whether that was guessed and wrong."""

    state: int
    window: npt.NDArray[np.float32]
    language: str
    guessed: bool
    wrong: bool = False


class WhisperCpp:
    """The engine `whisper.cpp`.

    `model` is a name that `voicestream models list` knows, or the path of a ggml file; `capacity` the number of states,
    each of which computes on `threads` threads. Raises SttError when whisper.cpp or the model can't be loaded, or this
    processor can't compute it, and WeightsError when the model can't be had.
    """

    name = "whisper.cpp"

    def __init__(self, model: str, *, capacity: int, threads: int = 1) -> None:
        path = Path(model) if model.endswith(".bin") else weights.pull(model)
        if not path.is_file():
            raise SttError(f"there is no model file {path}")
        try:
            file = read_ggml(path)
        except WeightsError as error:
            raise SttError(str(error)) from error
        self._whisper = LibWhisper()
        self._lib = self._whisper.lib
        objection = objection_to(
            file, build_uses_amx=bool(self._lib.ggml_cpu_has_amx_int8()), processor_has_amx=_processor_has_amx()
        )
        if objection:
            raise SttError(f"{path} can't be computed here: {objection}")
        params = self._whisper.context_params()
        params.dtw_token_timestamps = True
        params.dtw_aheads_preset, params.dtw_n_top = _alignment(file)
        params.flash_attn = False  # which hides the attention that the times are read from
        self._context = self._lib.whisper_init_from_file_with_params_no_state(str(path).encode(), params)
        if not self._context:
            raise SttError(
                f"{path} is no model that whisper.cpp can load: its tensors are not those of its header, or there is "
                "no memory for them"
            )
        self.model = path.stem.removeprefix("ggml-")
        self.capacity = capacity
        self._threads = threads
        if threads == 1:
            self._whisper.stay_on_one_thread()
        self._multilingual = bool(self._lib.whisper_is_multilingual(self._context))
        self._context_size = self._lib.whisper_n_audio_ctx(self._context)
        self._end_of_text = self._lib.whisper_token_eot(self._context)
        self._start = self._lib.whisper_token_sot(self._context)
        languages = [self._lib.whisper_lang_str(i).decode() for i in range(self._lib.whisper_lang_max_id() + 1)]
        if self._multilingual:  # their tokens follow the start, then come the tasks; not every model has all of them
            languages = languages[: self._lib.whisper_token_translate(self._context) - self._start - 1]
        self._languages: list[str] = languages
        self._last_language = "en"
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
        self.transcribe(noise(self.capacity))

    def close(self) -> None:
        """Wait for what is being transcribed, then free the model."""
        self._pool.shutdown()
        while not self._states.empty():
            self._lib.whisper_free_state(self._states.get())
        self._lib.whisper_free(self._context)
        self._context = None

    def _transcribe(self, clip: Clip) -> Recognition:
        started = time.perf_counter()
        asked = language_of(clip, self._languages, self.model, multilingual=self._multilingual)
        heard = asked or self._last_language
        tokens: list[Token] = []
        no_speech: list[float] = []
        state = self._states.get()
        try:
            for start_ms, window in windows(clip):
                heard = self._hear(state, window, asked)
                for segment in range(self._lib.whisper_full_n_segments_from_state(state)):
                    no_speech.append(self._lib.whisper_full_get_segment_no_speech_prob_from_state(state, segment))
                    tokens += self._tokens(state, segment, start_ms)
        finally:
            self._states.put(state)
        return recognition_of(clip, tokens, heard, no_speech, (time.perf_counter() - started) * 1000)

    def _hear(self, state: int, window: npt.NDArray[np.float32], asked: str | None) -> str:
        """Decode a window into the state; the language that it was decoded in."""
        hearing = _Hearing(state, window, asked or self._last_language, guessed=asked is None)
        context = min(context_of(window, CONTEXT_FLOOR), self._context_size)
        self._run(hearing, context)
        if self._came_to_no_end(hearing) and context < self._context_size:
            self._run(hearing, min(2 * context, self._context_size))
        self._last_language = hearing.language
        return hearing.language

    def _run(self, hearing: _Hearing, context: int) -> None:
        params = self._whisper.full_params()
        params.n_threads = self._threads
        params.print_progress = False
        params.print_timestamps = False
        params.single_segment = True
        params.suppress_nst = True
        params.language = hearing.language.encode()
        params.greedy_best_of = 1
        params.temperature_inc = 0.0  # decoding again at a higher temperature costs up to five times the time
        params.no_speech_thold = _NEVER  # the guards decide what is silence, and say so
        params.audio_ctx = context
        params.max_tokens = max_tokens(hearing.window)
        ends = AbortCallback(lambda _: self._ends(hearing))
        if hearing.guessed:
            params.abort_callback = ctypes.cast(ends, ctypes.c_void_p)
        samples = hearing.window.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        code = self._lib.whisper_full_with_state(self._context, hearing.state, params, samples, len(hearing.window))
        if hearing.wrong:
            hearing.wrong = False
            self._run(hearing, context)
        elif code:
            seconds = len(hearing.window) / RATE
            raise SttError(f"whisper.cpp failed on {seconds:.1f} s of audio with code {code}")

    def _ends(self, hearing: _Hearing) -> bool:
        """Called when the encoder is done, and after each token: whether whisper.cpp is to stop there."""
        if hearing.guessed:
            hearing.guessed = False
            heard = self._detect_language(hearing)
            hearing.wrong = heard != hearing.language
            hearing.language = heard
        return hearing.wrong

    def _detect_language(self, hearing: _Hearing) -> str:
        """The language by what the decoder expects after the start, from what the encoder has just made of the window.

        whisper.cpp's own detection would run the encoder for this, and on 30 s whatever the window.
        """
        start = ctypes.c_int32(self._start)
        state = hearing.state
        if self._lib.whisper_decode_with_state(self._context, state, ctypes.byref(start), 1, 0, self._threads):
            return hearing.language  # whisper.cpp fails at its own next step too, and says so
        logits = self._lib.whisper_get_logits_from_state(state)[
            self._start + 1 : self._start + 1 + len(self._languages)
        ]
        return self._languages[int(np.argmax(logits))]

    def _came_to_no_end(self, hearing: _Hearing) -> bool:
        """Whether the cap on the tokens was reached: mostly by a loop, which a longer context mostly prevents."""
        last = self._lib.whisper_full_n_segments_from_state(hearing.state) - 1
        if last < 0:
            return False
        count = self._lib.whisper_full_n_tokens_from_state(hearing.state, last)
        if count <= max_tokens(hearing.window):
            return False
        data = self._lib.whisper_full_get_token_data_from_state(hearing.state, last, count - 1)
        return bool(data.id != self._end_of_text)

    def _tokens(self, state: int, segment: int, offset_ms: int) -> Iterator[Token]:
        for i in range(self._lib.whisper_full_n_tokens_from_state(state, segment)):
            data = self._lib.whisper_full_get_token_data_from_state(state, segment, i)
            if data.id < self._end_of_text:
                text = self._lib.whisper_full_get_token_text_from_state(self._context, state, segment, i)
                yield Token(text, offset_ms + data.t_dtw * 10, data.p)


def objection_to(file: GgmlFile, *, build_uses_amx: bool, processor_has_amx: bool) -> str | None:
    """Why a model can't be computed by this build of whisper.cpp on this processor; None where it can."""
    if not (file.quantized and build_uses_amx and processor_has_amx):
        return None
    return (
        "it is quantised, and this build of whisper.cpp computes such models on this processor with AMX, where it "
        "crashes: take a model in float16, or pywhispercpp's own wheel"
    )


def _processor_has_amx() -> bool:
    return _CPU_INFO.is_file() and "amx_int8" in _CPU_INFO.read_text()


def _alignment(file: GgmlFile) -> tuple[int, int]:
    """Which attention heads follow the audio: whisper.cpp's list for the model, else the top layer's.

    It has no list for distilled models, and those of large-v1 and large-v2 can't be told apart by their files.
    """
    model = (file.audio_layers, file.text_layers, file.mels, not file.multilingual)
    preset = _ALIGNMENT_PRESETS.get(model)
    return (preset, -1) if preset else (_TOP_LAYERS, 1)
