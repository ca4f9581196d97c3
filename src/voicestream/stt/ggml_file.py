"""What is in a Whisper model in whisper.cpp's ggml format, read with care: the library itself trusts the file.

whisper.cpp aborts the process on sizes that make no sense, and takes a file whose end is missing. The layout is that of
`whisper_model_load` in whisper.cpp 1.8.5.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from voicestream.errors import WeightsError

MAGIC: Final = 0x67676D6C  # "ggml"
FLOAT32: Final = 0
FLOAT16: Final = 1
_BLOCKS: Final = {  # of a tensor type: numbers in a block, and bytes
    FLOAT32: (1, 4),
    FLOAT16: (1, 2),
    2: (32, 18),  # q4_0
    3: (32, 20),  # q4_1
    6: (32, 22),  # q5_0
    7: (32, 24),  # q5_1
    8: (32, 34),  # q8_0
    10: (256, 84),  # q2_K
    11: (256, 110),  # q3_K
    12: (256, 144),  # q4_K
    13: (256, 176),  # q5_K
    14: (256, 210),  # q6_K
    30: (1, 2),  # bf16
}
_EXPONENTS: Final = {FLOAT32: ("<u4", 0x7F800000), FLOAT16: ("<u2", 0x7C00), 30: ("<u2", 0x7F80)}  # all ones: no number
_SCALED: Final = (2, 3, 6, 7, 8)  # each block begins with its scale in float16
QUANTIZATION_VERSION: Final = 1000  # the file's type is this times a version, and the type
_MATRICES: Final = {  # of a file type: the type of its matrices
    0: FLOAT32,
    1: FLOAT16,
    2: 2,
    3: 3,
    7: 8,
    8: 6,
    9: 7,
    10: 10,
    11: 11,
    12: 12,
    13: 13,
    14: 14,
    24: 30,
}
_FLOAT_FILE_TYPES: Final = (0, 1, 24)  # float32, float16, bfloat16
_VOCABULARIES: Final = range(51864, 51867)
_MULTILINGUAL_VOCABULARY: Final = 51865
_HEAD: Final = 64  # numbers in an attention head, in every Whisper model
_MOST_LAYERS: Final = 64
_FREQUENCIES: Final = 201
_LONGEST_TOKEN: Final = 1000  # bytes, as below
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: its type in ggml, its dimensions, the fastest first, and where its bytes are in the file."""

    name: str
    type: int
    dimensions: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class GgmlFile:
    """The header of a model, where its tensors begin, and the tensors."""

    header: tuple[int, ...]
    start: int
    tensors: tuple[Tensor, ...]

    @property
    def multilingual(self) -> bool:
        return self.header[0] >= _MULTILINGUAL_VOCABULARY

    @property
    def text_layers(self) -> int:
        return self.header[8]

    @property
    def audio_layers(self) -> int:
        return self.header[4]

    @property
    def mels(self) -> int:
        return self.header[9]

    @property
    def file_type(self) -> int:
        return self.header[10] % QUANTIZATION_VERSION

    @property
    def quantized(self) -> bool:
        return self.file_type not in _FLOAT_FILE_TYPES


def read_ggml(path: Path) -> GgmlFile:
    """The layout of the model at `path`.

    Raises WeightsError when the file is missing, cut short, or no Whisper model in this format, or when weights in it
    are no finite numbers, which whisper.cpp may crash on. What else was changed in them shows in the file's hash alone.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path).read()
    except OSError as error:
        raise WeightsError(f"the model file {path} can't be read: {error.strerror}") from error


class _Reader:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = path.stat().st_size

    def read(self) -> GgmlFile:
        magic, *header = self._numbers(12)
        if magic != MAGIC:
            raise self._damaged("it does not begin as one")
        self._check(tuple(header))
        self._file_type = header[10] % QUANTIZATION_VERSION
        if self._numbers(2) != (header[9], _FREQUENCIES):
            raise self._damaged("its mel filters are of another size")
        self._skip(4 * header[9] * _FREQUENCIES)
        (tokens,) = self._numbers(1)
        if not 0 <= tokens <= header[0]:
            raise self._damaged(f"it has {tokens} tokens")
        for _ in range(tokens):
            (length,) = self._numbers(1)
            if not 0 <= length <= _LONGEST_TOKEN:
                raise self._damaged(f"a token has {length} bytes")
            self._skip(length)
        start = self._file.tell()
        return GgmlFile(tuple(header), start, tuple(self._tensors()))

    def _check(self, header: tuple[int, ...]) -> None:
        n_vocab, audio_ctx, audio_state, audio_heads, audio_layers = header[:5]
        text_ctx, text_state, text_heads, text_layers, n_mels, file_type = header[5:]
        sound = (
            n_vocab in _VOCABULARIES
            and 0 < audio_ctx <= 1500
            and 0 < text_ctx <= 448
            and audio_state == text_state == _HEAD * audio_heads == _HEAD * text_heads
            and 0 < audio_state <= 32 * _HEAD
            and 0 < audio_layers <= _MOST_LAYERS
            and 0 < text_layers <= _MOST_LAYERS
            and n_mels in (80, 128)
            and 0 <= file_type < 10 * QUANTIZATION_VERSION
            and file_type % QUANTIZATION_VERSION in _MATRICES
        )
        if not sound:
            raise self._damaged("the sizes in its header are of no Whisper model")

    def _tensors(self) -> Iterator[Tensor]:
        while self._file.tell() < self._size:
            dimensions, length, kind = self._numbers(3)
            if not 1 <= dimensions <= 3 or not 1 <= length <= _LONGEST_NAME or kind not in _BLOCKS:
                raise self._damaged(f"there is no tensor at byte {self._file.tell() - 12}")
            shape = self._numbers(dimensions)
            name = self._bytes(length).decode(errors="replace")
            numbers, size = _BLOCKS[kind]
            if min(shape) < 1 or shape[0] % numbers:
                raise self._damaged(f"the tensor {name} has the dimensions {shape}")
            if kind not in (FLOAT32, FLOAT16, _MATRICES[self._file_type]):
                raise self._damaged(f"the tensor {name} is of another type than the file")
            start = self._file.tell()
            data = self._bytes(math.prod(shape) // numbers * size)
            if not _finite(data, kind):
                raise self._damaged(f"weights of the tensor {name} are no numbers")
            yield Tensor(name, kind, shape, start, len(data))

    def _numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}i", self._bytes(4 * count))

    def _bytes(self, count: int) -> bytes:
        if self._file.tell() + count > self._size:
            raise self._damaged("it is cut short")
        return self._file.read(count)

    def _skip(self, count: int) -> None:
        if self._file.tell() + count > self._size:
            raise self._damaged("it is cut short")
        self._file.seek(count, 1)

    def _damaged(self, why: str) -> WeightsError:
        return WeightsError(f"{self._path} is no model that whisper.cpp can load: {why}")


def _finite(data: bytes, kind: int) -> bool:
    """Whether no number is infinite or none, as far as that is cheap to see."""
    if kind in _SCALED:
        values = np.frombuffer(data, np.uint8).reshape(-1, _BLOCKS[kind][1])[:, :2].copy().view("<u2")
        exponent = 0x7C00
    elif kind in _EXPONENTS:
        dtype, exponent = _EXPONENTS[kind]
        values = np.frombuffer(data, dtype)
    else:
        return True
    return not bool(np.any(values & exponent == exponent))
