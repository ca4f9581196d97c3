"""The C interface of whisper.cpp 1.8.5, as far as we use it.

pywhispercpp has no binding for `whisper_state`, which lets several threads share one set of weights; its wheel does
carry the library. The structures below are those of `include/whisper.h` at v1.8.5. `load` compares the version and the
default values of every field against what the library gives, so that a library of another layout is refused.
"""

import ctypes
import logging
from collections.abc import Callable
from ctypes import POINTER, Structure, c_bool, c_char_p, c_float, c_int, c_int32, c_int64, c_size_t, c_void_p
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from voicestream.errors import SttError

_log = logging.getLogger(__name__)

VERSION: Final = "1.8.5"
_DISTRIBUTION: Final = "pywhispercpp"
_REMEDY: Final = "install voicestream[stt], which pins the version that fits"
_GREEDY: Final = 0
_LOG_LEVELS: Final = {3: logging.DEBUG, 4: logging.WARNING}  # ggml's warnings are our details, its errors our warnings

AbortCallback = ctypes.CFUNCTYPE(c_bool, c_void_p)
_LogCallback = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)


class _Heads(Structure):
    _fields_ = [("n_heads", c_size_t), ("heads", c_void_p)]


class ContextParams(Structure):
    """`whisper_context_params`."""

    _fields_ = [
        ("use_gpu", c_bool),
        ("flash_attn", c_bool),
        ("gpu_device", c_int),
        ("dtw_token_timestamps", c_bool),
        ("dtw_aheads_preset", c_int),
        ("dtw_n_top", c_int),
        ("dtw_aheads", _Heads),
        ("dtw_mem_size", c_size_t),
    ]


class TokenData(Structure):
    """`whisper_token_data`; t0 and t1 are in units of 10 ms."""

    _fields_ = [
        ("id", c_int32),
        ("tid", c_int32),
        ("p", c_float),
        ("plog", c_float),
        ("pt", c_float),
        ("ptsum", c_float),
        ("t0", c_int64),
        ("t1", c_int64),
        ("t_dtw", c_int64),
        ("vlen", c_float),
    ]


class _VadParams(Structure):
    _fields_ = [
        ("threshold", c_float),
        ("min_speech_duration_ms", c_int),
        ("min_silence_duration_ms", c_int),
        ("max_speech_duration_s", c_float),
        ("speech_pad_ms", c_int),
        ("samples_overlap", c_float),
    ]


class _BeamSearch(Structure):
    _fields_ = [("beam_size", c_int), ("patience", c_float)]


class FullParams(Structure):
    """`whisper_full_params`."""

    _fields_ = [
        ("strategy", c_int),
        ("n_threads", c_int),
        ("n_max_text_ctx", c_int),
        ("offset_ms", c_int),
        ("duration_ms", c_int),
        ("translate", c_bool),
        ("no_context", c_bool),
        ("no_timestamps", c_bool),
        ("single_segment", c_bool),
        ("print_special", c_bool),
        ("print_progress", c_bool),
        ("print_realtime", c_bool),
        ("print_timestamps", c_bool),
        ("token_timestamps", c_bool),
        ("thold_pt", c_float),
        ("thold_ptsum", c_float),
        ("max_len", c_int),
        ("split_on_word", c_bool),
        ("max_tokens", c_int),
        ("debug_mode", c_bool),
        ("audio_ctx", c_int),
        ("tdrz_enable", c_bool),
        ("suppress_regex", c_char_p),
        ("initial_prompt", c_char_p),
        ("carry_initial_prompt", c_bool),
        ("prompt_tokens", c_void_p),
        ("prompt_n_tokens", c_int),
        ("language", c_char_p),
        ("detect_language", c_bool),
        ("suppress_blank", c_bool),
        ("suppress_nst", c_bool),
        ("temperature", c_float),
        ("max_initial_ts", c_float),
        ("length_penalty", c_float),
        ("temperature_inc", c_float),
        ("entropy_thold", c_float),
        ("logprob_thold", c_float),
        ("no_speech_thold", c_float),
        ("greedy_best_of", c_int),
        ("beam_search", _BeamSearch),
        ("new_segment_callback", c_void_p),
        ("new_segment_callback_user_data", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("encoder_begin_callback", c_void_p),
        ("encoder_begin_callback_user_data", c_void_p),
        ("abort_callback", c_void_p),
        ("abort_callback_user_data", c_void_p),
        ("logits_filter_callback", c_void_p),
        ("logits_filter_callback_user_data", c_void_p),
        ("grammar_rules", c_void_p),
        ("n_grammar_rules", c_size_t),
        ("i_start_rule", c_size_t),
        ("grammar_penalty", c_float),
        ("vad", c_bool),
        ("vad_model_path", c_char_p),
        ("vad_params", _VadParams),
    ]


_FULL_DEFAULTS: Final[dict[str, object]] = {
    "strategy": _GREEDY,
    "n_max_text_ctx": 16384,
    "offset_ms": 0,
    "duration_ms": 0,
    "translate": False,
    "no_context": True,
    "no_timestamps": False,
    "single_segment": False,
    "print_progress": True,
    "print_realtime": False,
    "print_timestamps": True,
    "token_timestamps": False,
    "thold_pt": 0.01,
    "thold_ptsum": 0.01,
    "max_tokens": 0,
    "audio_ctx": 0,
    "initial_prompt": None,
    "language": b"en",
    "suppress_blank": True,
    "suppress_nst": False,
    "temperature": 0.0,
    "max_initial_ts": 1.0,
    "length_penalty": -1.0,
    "temperature_inc": 0.2,
    "entropy_thold": 2.4,
    "logprob_thold": -1.0,
    "no_speech_thold": 0.6,
    "greedy_best_of": 5,
    "abort_callback": None,
    "grammar_penalty": 100.0,
    "vad": False,
}
_BEAM_DEFAULTS: Final = {"beam_size": -1, "patience": -1.0}
_VAD_DEFAULTS: Final = {"threshold": 0.5, "min_speech_duration_ms": 250, "speech_pad_ms": 30, "samples_overlap": 0.1}
_CONTEXT_DEFAULTS: Final = {
    "use_gpu": True,
    "flash_attn": True,
    "gpu_device": 0,
    "dtw_token_timestamps": False,
    "dtw_aheads_preset": 0,
    "dtw_n_top": -1,
    "dtw_mem_size": 128 * 1024 * 1024,
}

_SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "whisper_version": (c_char_p, []),
    "whisper_log_set": (None, [_LogCallback, c_void_p]),
    "whisper_context_default_params_by_ref": (POINTER(ContextParams), []),
    "whisper_free_context_params": (None, [POINTER(ContextParams)]),
    "whisper_full_default_params_by_ref": (POINTER(FullParams), [c_int]),
    "whisper_free_params": (None, [POINTER(FullParams)]),
    "whisper_init_from_file_with_params_no_state": (c_void_p, [c_char_p, ContextParams]),
    "whisper_init_state": (c_void_p, [c_void_p]),
    "whisper_free": (None, [c_void_p]),
    "whisper_free_state": (None, [c_void_p]),
    "whisper_is_multilingual": (c_int, [c_void_p]),
    "whisper_n_audio_ctx": (c_int, [c_void_p]),
    "whisper_token_eot": (c_int32, [c_void_p]),
    "whisper_token_sot": (c_int32, [c_void_p]),
    "whisper_token_translate": (c_int32, [c_void_p]),
    "whisper_lang_max_id": (c_int, []),
    "whisper_lang_str": (c_char_p, [c_int]),
    "whisper_full_with_state": (c_int, [c_void_p, c_void_p, FullParams, POINTER(c_float), c_int]),
    "whisper_decode_with_state": (c_int, [c_void_p, c_void_p, POINTER(c_int32), c_int, c_int, c_int]),
    "whisper_get_logits_from_state": (POINTER(c_float), [c_void_p]),
    "whisper_full_n_segments_from_state": (c_int, [c_void_p]),
    "whisper_full_n_tokens_from_state": (c_int, [c_void_p, c_int]),
    "whisper_full_get_token_text_from_state": (c_char_p, [c_void_p, c_void_p, c_int, c_int]),
    "whisper_full_get_token_data_from_state": (TokenData, [c_void_p, c_int, c_int]),
    "whisper_full_get_segment_no_speech_prob_from_state": (c_float, [c_void_p, c_int]),
    "ggml_cpu_has_amx_int8": (c_int, []),
    "ggml_quantize_chunk": (
        c_size_t,
        [c_int, POINTER(c_float), c_void_p, c_int64, c_int64, c_int64, POINTER(c_float)],
    ),
}


def _forward_log(level: int, text: bytes | None, _: int | None) -> None:
    # What whisper_full says before it returns a code is raised as an error, or was an end that we asked for.
    if level in _LOG_LEVELS and text and not text.startswith(b"whisper_full_with_state: failed"):
        _log.log(_LOG_LEVELS[level], "%s", text.decode(errors="replace").rstrip())


_log_callback = _LogCallback(_forward_log)  # kept for as long as the library may call it


def _library_path() -> Path:
    try:
        installed = distribution(_DISTRIBUTION)
    except PackageNotFoundError:
        raise SttError(f"whisper.cpp is not installed: {_REMEDY}") from None
    files = [file for file in installed.files or [] if file.name.startswith("libwhisper") and ".so" in file.name]
    files += [file for file in installed.files or [] if file.name.startswith("libwhisper") and "dylib" in file.name]
    # A repaired wheel has the library that belongs to its other libraries in a folder of its own.
    files.sort(key=lambda file: (len(file.parts) == 1, len(file.name)))
    if not files:
        raise SttError(f"{_DISTRIBUTION} {installed.version} carries no libwhisper: {_REMEDY}")
    return Path(str(installed.locate_file(files[0])))


def _copy_defaults(new: Callable[..., Any], free: Callable[[Any], None], *args: int) -> Any:
    pointer = new(*args)
    copy = type(pointer.contents).from_buffer_copy(pointer.contents)
    free(pointer)
    return copy


def _differences(params: Structure, expected: dict[str, Any]) -> list[str]:
    differing = []
    for name, value in expected.items():
        found = getattr(params, name)
        same = abs(found - value) < 1e-6 if isinstance(value, float) else found == value
        if not same:
            differing.append(f"{name} is {found!r}, not {value!r}")
    return differing


class LibWhisper:
    """The loaded library: its functions as `lib`, and the parameters to start from, whose layout has been checked.

    Raises SttError when the library is missing, or is not the version whose structures we know.
    """

    def __init__(self) -> None:
        path = _library_path()
        try:
            self.lib: Any = ctypes.CDLL(str(path))
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(self.lib, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            raise SttError(f"whisper.cpp in {path} can't be used ({error}): {_REMEDY}") from error
        version = self.lib.whisper_version().decode()
        if version != VERSION:
            raise SttError(f"{path} is whisper.cpp {version}, but we speak to {VERSION}: {_REMEDY}")
        self.lib.whisper_log_set(_log_callback, None)

        self._full = _copy_defaults(self.lib.whisper_full_default_params_by_ref, self.lib.whisper_free_params, _GREEDY)
        self._context = _copy_defaults(
            self.lib.whisper_context_default_params_by_ref, self.lib.whisper_free_context_params
        )
        differing = [
            *_differences(self._full, _FULL_DEFAULTS),
            *_differences(self._full.beam_search, _BEAM_DEFAULTS),
            *_differences(self._full.vad_params, _VAD_DEFAULTS),
            *_differences(self._context, _CONTEXT_DEFAULTS),
        ]
        if differing:
            raise SttError(f"{path} has structures of another layout ({'; '.join(differing)}): {_REMEDY}")

    def full_params(self) -> FullParams:
        """A copy of the default parameters of greedy decoding."""
        return FullParams.from_buffer_copy(self._full)

    def context_params(self) -> ContextParams:
        """A copy of the default parameters of a context."""
        return ContextParams.from_buffer_copy(self._context)

    def stay_on_one_thread(self) -> None:
        """Let no part of the library start threads, for the rest of this process.

        whisper.cpp aligns the words on four threads, whatever it is told; three of them wait, and may spin meanwhile.
        """
        if hasattr(self.lib, "omp_set_max_active_levels"):  # it is built with OpenMP, which the library depends on
            self.lib.omp_set_max_active_levels(0)
