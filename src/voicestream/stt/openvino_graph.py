"""Whisper as two OpenVINO models, built from the weights of OpenAI's checkpoint.

The encoder gives what the decoder needs of the audio, once for each clip; the decoder takes one step for a whole batch,
whose keys and values it keeps. Its matrices are int8 with one scale a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as op

_HEAD: Final = 64  # the width of a head of attention in every Whisper
_SCALE: Final = np.float32(_HEAD**-0.5)
_SPLIT: Final = np.array([0, 2, 1, 3])  # [batch, position, head, width] ↔ [batch, head, position, width]

Weights = Mapping[str, npt.NDArray[np.generic]]
Heads = Sequence[tuple[int, int]]
"""Heads of the decoder's attention to the audio, (layer, head): those that follow the speech."""


@dataclass(frozen=True, slots=True)
class Graphs:
    """The two models.

    `encoder`: features [batch, mels, frames] → for each layer of the decoder keys [batch, heads, width, positions] and
    values [batch, heads, positions, width], then keys of the alignment heads [batch, heads, positions, width].
    `decoder`: embedded tokens [batch, tokens, state], mask [1, 1, tokens, tokens so far], rows of the batch before that
    go on [batch], keys and values as above → logits [batch, tokens, vocabulary], and queries of the alignment heads
    [batch, heads, tokens, width].
    """

    encoder: Any
    decoder: Any


def whisper(weights: Weights, alignment: Heads, cross: Any) -> Graphs:
    """The models; `cross` is the type of the keys and values that the encoder hands to the decoder.

    Where that is bfloat16, in which the processor then computes, the encoder is left in it: int8 saves a twentieth of
    the time, and costs a point of word errors.
    """
    encoder = _Layers(weights, "encoder", packed=cross != ov.Type.bf16)
    decoder = _Layers(weights, "decoder", packed=True)
    return Graphs(_encoder(encoder, decoder, alignment, cross), _decoder(decoder, alignment, cross))


class _Layers:
    """Operations with the weights of one part of the model; `packed` makes matrices int8."""

    def __init__(self, weights: Weights, part: str, *, packed: bool) -> None:
        self._weights = weights
        self._packed = packed
        self.part = part
        self.count = len({name.split(".")[2] for name in weights if name.startswith(f"{part}.blocks.")})
        self.state: int = weights[f"{part}.positional_embedding"].shape[1]
        self.heads = self.state // _HEAD

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        return self._weights[f"{self.part}.{name}"].astype(np.float32)

    def linear(self, x: Any, *names: str) -> Any:
        """x by one matrix, or by several at once, whose results follow each other."""
        weight = np.concatenate([self.tensor(f"{name}.weight") for name in names])
        scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), np.float32(1e-8)) / 127
        if self._packed:
            packed = op.constant(np.round(weight / scale).astype(np.int8))
            y = op.matmul(x, op.multiply(op.convert(packed, ov.Type.f32), op.constant(scale)), False, True)
        else:
            y = op.matmul(x, op.constant(weight), False, True)
        biases = [self._bias(name) for name in names]
        return op.add(y, op.constant(np.concatenate(biases).reshape(1, 1, -1))) if any(map(np.any, biases)) else y

    def _bias(self, name: str) -> npt.NDArray[np.float32]:
        """Zeros where it has none."""
        if f"{self.part}.{name}.bias" in self._weights:
            return self.tensor(f"{name}.bias")
        return np.zeros(len(self._weights[f"{self.part}.{name}.weight"]), np.float32)

    def norm(self, x: Any, name: str) -> Any:
        y = op.mvn(x, op.constant(np.array([-1])), True, 1e-5, "INSIDE_SQRT")
        return op.add(
            op.multiply(y, op.constant(self.tensor(f"{name}.weight"))), op.constant(self.tensor(f"{name}.bias"))
        )

    def split(self, x: Any) -> Any:
        """[batch, position, state] → [batch, head, position, width]"""
        heads = op.reshape(x, op.constant(np.array([0, 0, self.heads, _HEAD])), True)
        return op.transpose(heads, op.constant(_SPLIT))

    def merge(self, x: Any) -> Any:
        return op.reshape(op.transpose(x, op.constant(_SPLIT)), op.constant(np.array([0, 0, self.state])), True)

    def attend(self, x: Any, name: str) -> Sequence[Any]:
        """Query, key and value, split into heads."""
        together = self.linear(x, *(f"{name}.{part}" for part in ("query", "key", "value")))
        heads = op.reshape(together, op.constant(np.array([0, 0, 3 * self.heads, _HEAD])), True)
        parts: Sequence[Any] = op.split(op.transpose(heads, op.constant(_SPLIT)), op.constant(1), 3).outputs()
        return parts

    def feed_forward(self, x: Any, block: str) -> Any:
        wide = op.gelu(self.linear(self.norm(x, f"{block}.mlp_ln"), f"{block}.mlp.0"), "ERF")
        return op.add(x, self.linear(wide, f"{block}.mlp.2"))


def _encoder(layers: _Layers, decoder: _Layers, alignment: Heads, cross: Any) -> Any:
    mels = layers.tensor("conv1.weight").shape[1]
    features = op.parameter(ov.PartialShape([-1, mels, -1]), ov.Type.f32)
    x = features
    for name, stride in (("conv1", 1), ("conv2", 2)):
        x = op.convolution(x, op.constant(layers.tensor(f"{name}.weight")), [stride], [1], [1], [1])
        x = op.gelu(op.add(x, op.constant(layers.tensor(f"{name}.bias").reshape(1, -1, 1))), "ERF")
    x = op.transpose(x, op.constant(np.array([0, 2, 1])))
    positions = op.gather(op.shape_of(x), op.constant(np.array([1])), op.constant(0))
    embedding = op.constant(layers.tensor("positional_embedding")[np.newaxis])
    first, step, axis = (op.constant(np.array([value])) for value in (0, 1, 1))
    x = op.add(x, op.slice(embedding, first, positions, step, axis))

    for i in range(layers.count):
        block = f"blocks.{i}"
        heard = op.scaled_dot_product_attention(*layers.attend(layers.norm(x, f"{block}.attn_ln"), f"{block}.attn"))
        x = op.add(x, layers.linear(layers.merge(heard), f"{block}.attn.out"))
        x = layers.feed_forward(x, block)
    x = layers.norm(x, "ln_post")

    results, aligned = [], []
    for i in range(decoder.count):
        key, value = (decoder.split(decoder.linear(x, f"blocks.{i}.cross_attn.{part}")) for part in ("key", "value"))
        # Scaled and turned here, once, and not in every step of the decoder.
        turned = op.transpose(op.multiply(key, op.constant(_SCALE)), op.constant(np.array([0, 1, 3, 2])))
        results += [op.result(op.convert(turned, cross)), op.result(op.convert(value, cross))]
        aligned += _pick(key, alignment, i)
    return ov.Model([*results, op.result(op.concat(aligned, 1))], [features], "encoder")


def _decoder(layers: _Layers, alignment: Heads, cross: Any) -> Any:
    embedded = op.parameter(ov.PartialShape([-1, -1, layers.state]), ov.Type.f32)
    mask = op.parameter(ov.PartialShape([1, 1, -1, -1]), ov.Type.f32)
    rows = op.parameter(ov.PartialShape([-1]), ov.Type.i32)
    parameters = [embedded, mask, rows]
    batch = op.gather(op.shape_of(rows), op.constant(np.array([0])), op.constant(0))
    nothing = op.broadcast(
        op.constant(np.float32(0)), op.concat([batch, op.constant(np.array([layers.heads, 0, _HEAD]))], 0)
    )
    kept, aligned = [], []
    x = embedded
    for i in range(layers.count):
        block = f"blocks.{i}"
        query, *new = layers.attend(layers.norm(x, f"{block}.attn_ln"), f"{block}.attn")
        so_far = []
        for name, part in zip(("key", "value"), new, strict=True):
            info = ov.op.util.VariableInfo()
            info.data_shape = ov.PartialShape([-1, layers.heads, -1, _HEAD])
            info.data_type = ov.Type.f32
            info.variable_id = f"{name}{i}"
            variable = ov.op.util.Variable(info)
            past = op.gather(op.read_value(nothing, variable), rows, op.constant(0))
            so_far.append(op.concat([past, part], 2))
            kept.append(op.assign(so_far[-1], variable))
        # Not the operation for it: with a kept state, OpenVINO 2026.4 reads what it never wrote when a batch grows.
        scores = op.matmul(op.multiply(query, op.constant(_SCALE)), so_far[0], False, True)
        said = op.matmul(op.softmax(op.add(scores, mask), -1), so_far[1], False, False)
        x = op.add(x, layers.linear(layers.merge(said), f"{block}.attn.out"))

        query = layers.split(layers.linear(layers.norm(x, f"{block}.cross_attn_ln"), f"{block}.cross_attn.query"))
        aligned += _pick(query, alignment, i)
        key = op.parameter(ov.PartialShape([-1, layers.heads, _HEAD, -1]), cross)
        value = op.parameter(ov.PartialShape([-1, layers.heads, -1, _HEAD]), cross)
        parameters += [key, value]
        scores = op.softmax(op.matmul(query, op.convert(key, ov.Type.f32), False, False), -1)
        heard = op.matmul(scores, op.convert(value, ov.Type.f32), False, False)
        x = op.add(x, layers.linear(layers.merge(heard), f"{block}.cross_attn.out"))
        x = layers.feed_forward(x, block)
    logits = layers.linear(layers.norm(x, "ln"), "token_embedding")
    return ov.Model([op.result(logits), op.result(op.concat(aligned, 1))], kept, parameters, "decoder")


def _pick(x: Any, alignment: Heads, layer: int) -> list[Any]:
    """The alignment heads of a layer of [batch, head, position, width], if it has any."""
    heads = [head for at, head in alignment if at == layer]
    return [op.gather(x, op.constant(np.array(heads)), op.constant(1))] if heads else []
