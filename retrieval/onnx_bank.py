"""Cosines of a vector to many thousand others, int8 on ONNX Runtime: a quarter of the bytes to read, and so of the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.onnx_text import open_session

OPSET, IR_VERSION = 17, 8
STEPS = 127
"""Of int8, either side of zero."""
Vectors = NDArray[np.float32]


class OnnxBank:
    """Opens what `write_bank` wrote to `path`. Raises IndexFault for a file that is broken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = open_session(path)

    def cosines(self, vectors: Vectors) -> Vectors:
        """Shape (len(vectors), bank), for unit vectors (n, dimensions); right to about 0.002.

        One vector at a time: quantised together, they would depend on each other.
        """
        found = np.empty((len(vectors), self._session.get_outputs()[0].shape[1]), np.float32)
        for row, vector in enumerate(vectors):
            found[row] = self._session.run(None, {"vector": vector[None]})[0]
        return found


def write_bank(vectors: Vectors, target: Path) -> None:
    """Write unit vectors, shape (bank, dimensions), to `target`: int8, a scale for each; the question's own is found as it comes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    codes, scales = _quantised(vectors)
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeMatMul", ["vector", "codes", "scales"], ["cosines"], domain="com.microsoft")],
        "bank",
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [None, vectors.shape[1]])],
        [helper.make_tensor_value_info("cosines", TensorProto.FLOAT, [None, len(vectors)])],
        [numpy_helper.from_array(np.ascontiguousarray(codes.T), "codes"), numpy_helper.from_array(scales, "scales")],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), target)


def as_kept(vectors: Vectors) -> Vectors:
    """The vectors that a bank of `vectors` really holds: whoever learns from these is served without their rounding."""
    codes, scales = _quantised(vectors)
    return codes * scales[:, None]


def _quantised(vectors: Vectors) -> tuple[NDArray[np.int8], Vectors]:
    """(codes, scales), shapes as `vectors` and (bank,)."""
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-9).astype(np.float32) / STEPS
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales
