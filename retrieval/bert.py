"""A BERT text model as an ONNX graph for one text at a time: mean pooling and normalisation inside, no mask, no padding.

Written from the weights, without torch. Beside a traced export it has one product for queries, keys and values, whose input is quantised
once, and nothing that works out shapes, which takes less time (benchmarks.floor). (Devlin et al.: BERT, 2019.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET, IR_VERSION = 20, 10
Weights = Mapping[str, NDArray[np.float32]]


def writable(model: Path) -> bool:
    """Whether the Hugging Face model in the folder `model` is one that `write_bert` writes."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    known = (config.get("model_type"), config.get("hidden_act"), config.get("position_embedding_type", "absolute"))
    return known == ("bert", "gelu", "absolute") and (model / "model.safetensors").exists()


def write_bert(model: Path, target: Path) -> None:
    """Write the BERT in the folder `model` to `target`: input_ids of shape (1, tokens) -> vector of shape (1, dimensions)."""
    import onnx
    from safetensors.numpy import load_file

    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    weights = load_file(model / "model.safetensors")
    prefix = "" if "embeddings.word_embeddings.weight" in weights else "bert."
    graph = _Graph({name.removeprefix(prefix): weight for name, weight in weights.items()}, config)
    onnx.save(graph.model(), target)


class _Graph:
    """The nodes and weights so far. Methods take and return the names of tensors, of shape (tokens, columns) where nothing else is said."""

    def __init__(self, weights: Weights, config: Mapping[str, Any]) -> None:
        self._weights, self._config = weights, config
        self._size, self._heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self) -> Any:
        """The whole of it."""
        from onnx import TensorProto, helper

        hidden = self._embedded()
        for layer in range(self._config["num_hidden_layers"]):
            hidden = self._layer(hidden, f"encoder.layer.{layer}.")
        mean = self._add("ReduceMean", hidden, self._constant("first", np.array([0])), keepdims=1)
        self._nodes.append(helper.make_node("LpNormalization", [mean], ["vector"], axis=-1, p=2))
        asked = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])
        said = helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, self._size])
        graph = helper.make_graph(self._nodes, "text", [asked], [said], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _embedded(self) -> str:
        words, places, kinds = (self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
        first = self._constant("first axis", np.array([0]))
        ids = self._add("Squeeze", "input_ids", first)
        place = self._add("Slice", self._constant("places", places + kinds[0]), first, self._add("Shape", ids))
        return self._normal(self._add("Add", self._add("Gather", self._constant("words", words), ids), place), "embeddings.LayerNorm")

    def _layer(self, hidden: str, name: str) -> str:
        attended = self._linear(self._attention(hidden, f"{name}attention.self."), f"{name}attention.output.dense")
        hidden = self._normal(self._add("Add", attended, hidden), f"{name}attention.output.LayerNorm")
        wide = self._add("Gelu", self._linear(hidden, f"{name}intermediate.dense"))
        return self._normal(self._add("Add", self._linear(wide, f"{name}output.dense"), hidden), f"{name}output.LayerNorm")

    def _attention(self, hidden: str, name: str) -> str:
        """Softmax(queries keys^T / sqrt(head)) values, of all heads side by side."""
        head, parts = self._size // self._heads, ("query", "key", "value")
        weight = np.concatenate([self._weights[f"{name}{part}.weight"] for part in parts])
        bias = np.concatenate([self._weights[f"{name}{part}.bias"] for part in parts])
        scale = np.repeat([head**-0.5, 1.0, 1.0], self._size).astype(np.float32)
        every = self._product(hidden, name, weight * scale[:, None], bias * scale)
        split = self._add("Reshape", every, self._constant(f"{name}shape", np.array([-1, 3, self._heads, head])))
        apart = self._add("Transpose", split, perm=[1, 2, 0, 3])
        queries, keys, values = self._add_many("Split", [apart], 3, axis=0, num_outputs=3)
        alike = self._add("MatMul", queries, self._add("Transpose", keys, perm=[0, 1, 3, 2]))
        mixed = self._add("MatMul", self._add("Softmax", alike, axis=-1), values)
        together = self._add("Transpose", mixed, perm=[0, 2, 1, 3])
        return self._add("Reshape", together, self._constant(f"{name}merged", np.array([-1, self._size])))

    def _linear(self, hidden: str, name: str) -> str:
        return self._product(hidden, name, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _product(self, hidden: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        return self._add(
            "Add", self._add("MatMul", hidden, self._constant(f"{name} weight", weight.T)), self._constant(f"{name} bias", bias)
        )

    def _normal(self, hidden: str, name: str) -> str:
        scale, shift = (self._constant(f"{name} {part}", self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self._add("LayerNormalization", hidden, scale, shift, axis=-1, epsilon=self._config["layer_norm_eps"])

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self._add_many(operator, list(inputs), 1, **attributes)[0]

    def _add_many(self, operator: str, inputs: list[str], outputs: int, **attributes: Any) -> list[str]:
        from onnx import helper

        number = len(self._nodes)
        names = [f"{operator} {number}.{n}" for n in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, name=f"{operator} {number}", **attributes))
        return names
