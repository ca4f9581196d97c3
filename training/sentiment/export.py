"""Write the network as ONNX: fp32, or int8 with one scale for every 128 weights.

The graph is made by hand, not traced: with ONNX Runtime's own fused operators it is small, and the same bytes every
time. It knows no padding: all texts of a batch have the same length.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

BLOCK = 128
MAX_POSITIONS = 128

Floats = NDArray[np.float32]


class _Graph:
    """Collects nodes and initializers."""

    def __init__(self, quantised: bool) -> None:
        self.quantised = quantised
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, *, domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def fused(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        return self.node(kind, inputs, name, domain="com.microsoft", **attributes)

    def linear(self, x: str, weight: Floats, bias: Floats, name: str) -> str:
        """x @ weight.T + bias, weight being (out, in)."""
        rows, columns = weight.shape
        bias_name = self.constant(f"{name}.bias", bias)
        if not self.quantised:
            product = self.node("MatMul", [x, self.constant(f"{name}.weight", weight.T)], f"{name}.product")
            return self.node("Add", [product, bias_name], name)
        blocks = weight.reshape(rows, columns // BLOCK, BLOCK)
        scale = np.abs(blocks).max(axis=2, keepdims=True) / 127
        packed = (np.rint(blocks / scale) + 128).astype(np.uint8)
        inputs = [x, self.constant(f"{name}.weight", packed), self.constant(f"{name}.scale", scale.reshape(rows, -1))]
        shape = {"K": columns, "N": rows, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
        return self.fused("MatMulNBits", [*inputs, "", "", bias_name], name, **shape)

    def rows(self, table: Floats, ids: str, name: str) -> str:
        """The rows of a table, which is kept as int8 with one scale a row where quantised."""
        if not self.quantised:
            return self.node("Gather", [self.constant(f"{name}.weight", table), ids], name)
        scale = np.abs(table).max(axis=1, keepdims=True) / 127
        small = np.rint(table / scale).astype(np.int8)
        picked = self.node("Gather", [self.constant(f"{name}.weight", small), ids], f"{name}.small")
        scales = self.node("Gather", [self.constant(f"{name}.scale", scale), ids], f"{name}.scales")
        return self.node("Mul", [self.node("Cast", [picked], f"{name}.cast", to=TensorProto.FLOAT), scales], name)


def build(weights: Mapping[str, Floats], *, heads: int, epsilon: float, quantised: bool) -> onnx.ModelProto:
    """The model as a graph.

    Args:
        weights: the state of `MoodNetwork` as arrays, the word embeddings already pruned.
        heads: attention heads of the encoder.
        epsilon: of its layer norms.
        quantised: int8, or fp32.

    The input is `ids`, int64 (batch, length); outputs are the probabilities `polarity` (batch, 3) and `emotion`
    (batch, 7).
    """
    graph = _Graph(quantised)
    norm = {"epsilon": epsilon}

    def layer_norm(x: str, skip: str, source: str, name: str) -> str:
        gamma = graph.constant(f"{name}.gamma", weights[f"{source}.LayerNorm.weight"])
        beta = graph.constant(f"{name}.beta", weights[f"{source}.LayerNorm.bias"])
        return graph.fused("SkipLayerNormalization", [x, skip, gamma, beta], name, **norm)

    prefix = "encoder.embeddings"
    words = graph.rows(weights[f"{prefix}.word_embeddings.weight"], "ids", "words")
    # The token type is always 0: its row is added to every position once and for all.
    places = weights[f"{prefix}.position_embeddings.weight"][:MAX_POSITIONS]
    places = places + weights[f"{prefix}.token_type_embeddings.weight"][0]
    length = graph.node("Shape", ["ids"], "length", start=1, end=2)
    start, first = graph.constant("start", np.array([0])), graph.constant("first_axis", np.array([0]))
    place = graph.node("Slice", [graph.constant("places.weight", places), start, length, first], "places")
    summed = graph.node("Add", [words, place], "embedded.sum")
    gamma = graph.constant("embedded.gamma", weights[f"{prefix}.LayerNorm.weight"])
    beta = graph.constant("embedded.beta", weights[f"{prefix}.LayerNorm.bias"])
    x = graph.node("LayerNormalization", [summed, gamma, beta], "embedded", axis=-1, **norm)

    layers = 1 + max(int(name.split(".")[3]) for name in weights if name.startswith("encoder.encoder.layer."))
    for number in range(layers):
        source, name = f"encoder.encoder.layer.{number}", f"layer{number}"
        parts = [f"{source}.attention.self.{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([weights[f"{part}.weight"] for part in parts])
        bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
        joined = graph.linear(x, weight, bias, f"{name}.qkv")
        split = [f"{name}.{part}" for part in "qkv"]
        graph.nodes.append(helper.make_node("Split", [joined], split, name=f"{name}.split", axis=-1, num_outputs=3))
        attended = graph.fused("MultiHeadAttention", split, f"{name}.attention", num_heads=heads)
        source_out = f"{source}.attention.output"
        out = graph.linear(
            attended, weights[f"{source_out}.dense.weight"], weights[f"{source_out}.dense.bias"], f"{name}.out"
        )
        x = layer_norm(out, x, source_out, f"{name}.norm")
        inner_source = f"{source}.intermediate.dense"
        inner = graph.linear(x, weights[f"{inner_source}.weight"], weights[f"{inner_source}.bias"], f"{name}.inner")
        inner = graph.fused("Gelu", [inner], f"{name}.gelu")
        outer_source = f"{source}.output"
        outer = graph.linear(
            inner, weights[f"{outer_source}.dense.weight"], weights[f"{outer_source}.dense.bias"], f"{name}.outer"
        )
        x = layer_norm(outer, x, outer_source, name)

    axis = graph.constant("token_axis", np.array([1]))
    mean = graph.node("ReduceMean", [x, axis], "mean", keepdims=0)
    for head in ("polarity", "emotion"):
        table = graph.constant(f"{head}.weight", weights[f"{head}.weight"].T)
        product = graph.node("MatMul", [mean, table], f"{head}.product")
        scores = graph.node("Add", [product, graph.constant(f"{head}.bias", weights[f"{head}.bias"])], f"{head}.scores")
        graph.node("Softmax", [scores], head, axis=-1)

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "mood",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
            ],
            [
                helper.make_tensor_value_info(head, TensorProto.FLOAT, ["batch", len(weights[f"{head}.bias"])])
                for head in ("polarity", "emotion")
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)],
        producer_name="voicestream",
    )
    model.ir_version = 10
    return model
