"""Whisper weights in fewer bits, by the library of whisper.cpp.

Quantised is what `examples/quantize` of whisper.cpp quantises: every matrix but the positional embeddings. The
convolutions and all vectors stay as they are.
"""

import ctypes
import struct
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from voicestream.errors import SttError, WeightsError
from voicestream.stt.ggml_file import FLOAT16, FLOAT32, MAGIC, QUANTIZATION_VERSION, Tensor, read_ggml
from voicestream.stt.libwhisper import LibWhisper

_KINDS: Final = {"q8_0": (8, 7), "q5_1": (7, 9), "q5_0": (6, 8)}  # types in ggml: of a tensor, and of a file
_VERSION: Final = 2  # GGML_QNT_VERSION
_DTYPES: Final = {FLOAT32: np.float32, FLOAT16: np.float16}


def quantize(source: Path, target: Path, kind: str) -> None:
    """Write the model of `source`, a ggml file in float16 or float32, with its matrices in `kind` (weights.QUANTIZED).

    Raises WeightsError when the source is damaged or quantised already, or whisper.cpp is not installed.
    """
    model = read_ggml(source)
    if any(tensor.type not in _DTYPES for tensor in model.tensors):
        raise WeightsError(f"{source} is quantised already: give the model in float16")
    try:
        lib = LibWhisper().lib
    except SttError as error:
        raise WeightsError(str(error)) from error
    tensor_type, file_type = _KINDS[kind]
    with source.open("rb") as file, target.open("wb") as out:
        out.write(struct.pack("<12i", MAGIC, *model.header[:-1], _VERSION * QUANTIZATION_VERSION + file_type))
        file.seek(out.tell())
        out.write(file.read(model.start - out.tell()))  # mel filters and tokens
        for tensor in model.tensors:
            file.seek(tensor.start)
            data = file.read(tensor.size)
            if _is_matrix(tensor):
                _write(out, tensor, tensor_type, _quantized(lib, tensor, data, tensor_type))
            else:
                _write(out, tensor, tensor.type, data)


def _is_matrix(tensor: Tensor) -> bool:
    kept = ("positional_embedding", "conv1.bias", "conv2.bias")
    return len(tensor.dimensions) == 2 and not tensor.name.endswith(kept)


def _quantized(lib: Any, tensor: Tensor, data: bytes, tensor_type: int) -> bytes:
    width, rows = tensor.dimensions
    values = np.frombuffer(data, _DTYPES[tensor.type]).astype(np.float32)
    target = ctypes.create_string_buffer(values.nbytes)
    pointer = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    size = lib.ggml_quantize_chunk(tensor_type, pointer, target, 0, rows, width, None)
    return target.raw[:size]


def _write(out: BinaryIO, tensor: Tensor, tensor_type: int, data: bytes) -> None:
    name = tensor.name.encode()
    out.write(struct.pack("<3i", len(tensor.dimensions), len(name), tensor_type))
    out.write(struct.pack(f"<{len(tensor.dimensions)}i", *tensor.dimensions) + name + data)
