"""Whisper weights from CTranslate2's format to the ggml file of whisper.cpp.

The layout is that of `models/convert-pt-to-ggml.py` in whisper.cpp, tensors in the order of OpenAI's checkpoints.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from voicestream.errors import WeightsError
from voicestream.stt.mel import mel_filters
from voicestream.stt.whisper import token_bytes

_MAGIC: Final = 0x67676D6C  # "ggml"
_BINARY_VERSION: Final = 6
_SPEC: Final = ("WhisperSpec", 3)
_DTYPES: Final = (np.float32, np.int8, np.int16, np.int32, np.float16)

Tensors = dict[str, npt.NDArray[np.generic]]


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> memoryview:
        taken = self._data[self._at : self._at + length]
        if len(taken) < length:
            raise WeightsError("the CTranslate2 model ends in the middle of a tensor: it is cut short or damaged")
        self._at += length
        return taken

    def number(self, kind: str) -> int:
        value: int = struct.unpack("<" + kind, self.take(struct.calcsize(kind)))[0]
        return value

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def read_ctranslate2(data: memoryview) -> Tensors:
    """The tensors of a CTranslate2 Whisper model by name, as views of `data`.

    Raises WeightsError when it is no Whisper model of the format version and revision that we know.
    """
    reader = _Reader(data)
    version = reader.number("I")
    spec = (reader.text(), reader.number("I")) if version == _BINARY_VERSION else ("", 0)
    if spec != _SPEC:
        raise WeightsError(
            f"this is no CTranslate2 Whisper model of format {_BINARY_VERSION}, {_SPEC[0]} revision {_SPEC[1]} "
            f"(found format {version} {spec[0]} {spec[1]})"
        )
    tensors: Tensors = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        dtype = _DTYPES[reader.number("B")]
        tensors[name] = np.frombuffer(reader.take(reader.number("I")), dtype).reshape(shape)
    return tensors


def _linear(tensors: Tensors, source: str, target: str) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    yield f"{target}.weight", tensors[f"{source}/weight"]
    yield f"{target}.bias", tensors[f"{source}/bias"]


def _norm(tensors: Tensors, source: str, target: str) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    yield f"{target}.weight", tensors[f"{source}/gamma"]
    yield f"{target}.bias", tensors[f"{source}/beta"]


def _attention(
    tensors: Tensors, source: str, target: str, *, cross: bool
) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    # CTranslate2 fuses query, key and value; where the keys come from the encoder, key and value alone.
    fused = [f"{source}/linear_{i}" for i in range(2 if cross else 1)]
    weights = np.concatenate([tensors[f"{name}/weight"] for name in fused])
    biases = np.concatenate([tensors[f"{name}/bias"] for name in fused])
    for part, weight, bias in zip(("query", "key", "value"), np.split(weights, 3), np.split(biases, 3), strict=True):
        yield f"{target}.{part}.weight", weight
        if part != "key":  # Whisper's keys have no bias; CTranslate2 writes zeros
            yield f"{target}.{part}.bias", bias
    yield from _linear(tensors, f"{source}/linear_{len(fused)}", f"{target}.out")


def _block(tensors: Tensors, source: str, target: str, *, cross: bool) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    yield from _norm(tensors, f"{source}/ffn/layer_norm", f"{target}.mlp_ln")
    yield from _linear(tensors, f"{source}/ffn/linear_0", f"{target}.mlp.0")
    yield from _linear(tensors, f"{source}/ffn/linear_1", f"{target}.mlp.2")
    yield from _norm(tensors, f"{source}/self_attention/layer_norm", f"{target}.attn_ln")
    yield from _attention(tensors, f"{source}/self_attention", f"{target}.attn", cross=False)
    if cross:
        yield from _norm(tensors, f"{source}/attention/layer_norm", f"{target}.cross_attn_ln")
        yield from _attention(tensors, f"{source}/attention", f"{target}.cross_attn", cross=True)


def layers_of(tensors: Tensors, part: str) -> int:
    """The number of layers of the `encoder` or the `decoder`."""
    return len({name.split("/")[1] for name in tensors if name.startswith(f"{part}/layer_") and "norm/" not in name})


def checkpoint(tensors: Tensors) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    """Names and values of the tensors as they are in OpenAI's checkpoint, and in that order."""
    yield "decoder.positional_embedding", tensors["decoder/position_encodings/encodings"]
    yield "encoder.positional_embedding", tensors["encoder/position_encodings/encodings"]
    yield "decoder.token_embedding.weight", tensors["decoder/embeddings/weight"]
    for i in range(layers_of(tensors, "decoder")):
        yield from _block(tensors, f"decoder/layer_{i}", f"decoder.blocks.{i}", cross=True)
    yield from _norm(tensors, "decoder/layer_norm", "decoder.ln")
    for name in ("conv1", "conv2"):
        yield from _linear(tensors, f"encoder/{name}", f"encoder.{name}")
    for i in range(layers_of(tensors, "encoder")):
        yield from _block(tensors, f"encoder/layer_{i}", f"encoder.blocks.{i}", cross=False)
    yield from _norm(tensors, "encoder/layer_norm", "encoder.ln_post")


def convert(model: bytes, tokenizer: bytes, out: BinaryIO) -> None:
    """Write the ggml file of a CTranslate2 `model.bin` (float16) and its `tokenizer.json`.

    Raises WeightsError when the model is none that we can read.
    """
    tensors = read_ctranslate2(memoryview(model))
    n_vocab, _ = tensors["decoder/embeddings/weight"].shape
    n_state, n_mels, _ = tensors["encoder/conv1/weight"].shape
    n_audio_ctx, _ = tensors["encoder/position_encodings/encodings"].shape
    n_text_ctx, _ = tensors["decoder/position_encodings/encodings"].shape
    encoder_heads, decoder_heads = (int(tensors[f"{part}/num_heads"].item()) for part in ("encoder", "decoder"))
    header = [n_vocab, n_audio_ctx, n_state, encoder_heads, layers_of(tensors, "encoder")]
    header += [n_text_ctx, n_state, decoder_heads, layers_of(tensors, "decoder"), n_mels]
    filters = mel_filters(n_mels)
    tokens = token_bytes(tokenizer)  # whisper.cpp makes the names of the others (languages, times) itself

    out.write(struct.pack("<12i", _MAGIC, *header, 1))  # 1: matrices are float16
    out.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
    out.write(struct.pack("<i", len(tokens)))
    for token in tokens:
        out.write(struct.pack("<i", len(token)) + token)
    for name, tensor in checkpoint(tensors):
        if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
            tensor = tensor.reshape(-1, 1)
        wide = tensor.ndim < 2 or name.endswith(("conv1.bias", "conv2.bias", "positional_embedding"))
        label = name.encode()
        out.write(struct.pack("<3i", tensor.ndim, len(label), 0 if wide else 1))
        out.write(struct.pack(f"<{tensor.ndim}i", *reversed(tensor.shape)) + label)
        out.write(tensor.astype(np.float32 if wide else np.float16).tobytes())
