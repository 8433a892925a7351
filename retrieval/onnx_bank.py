"""Cosines of a vector to many thousand others, four bits a number on ONNX Runtime: an eighth of the bytes to read, and so of the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.onnx_text import open_session

OPSET, IR_VERSION = 17, 8
BLOCK = 128
"""Neighbouring numbers of a vector share a scale."""
STEPS = 7
"""Of four bits, either side of zero."""
INT8 = 4
"""How exactly the operator multiplies: the question's numbers are made int8, as the processor multiplies these fastest."""
Vectors = NDArray[np.float32]


class OnnxBank:
    """Opens what `write_bank` wrote to `path`. Raises IndexFault for a file that is broken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = open_session(path)
        self._size = int(self._session.get_outputs()[0].shape[1])

    def cosines(self, vectors: Vectors) -> Vectors:
        """Shape (len(vectors), bank), for unit vectors (n, dimensions); right to about 0.01.

        One vector at a time: quantised together, they would depend on each other.
        """
        rows: list[Vectors] = [self._session.run(None, {"vector": vector[None]})[0] for vector in vectors]
        return rows[0] if len(rows) == 1 else np.concatenate([np.empty((0, self._size), np.float32), *rows])


def write_bank(vectors: Vectors, target: Path) -> None:
    """Write unit vectors, shape (bank, dimensions), to `target`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    size, dimensions = vectors.shape
    codes, scales = _quantised(vectors)
    packed = (codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8)
    about = {"K": dimensions, "N": size, "bits": 4, "block_size": BLOCK, "accuracy_level": INT8}
    graph = helper.make_graph(
        [helper.make_node("MatMulNBits", ["vector", "codes", "scales"], ["cosines"], domain="com.microsoft", **about)],
        "bank",
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [None, dimensions])],
        [helper.make_tensor_value_info("cosines", TensorProto.FLOAT, [None, size])],
        [numpy_helper.from_array(packed, "codes"), numpy_helper.from_array(scales, "scales")],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), target)


def as_kept(vectors: Vectors) -> Vectors:
    """The vectors that a bank of `vectors` really holds: whoever learns from these is served without their rounding."""
    codes, scales = _quantised(vectors)
    kept: Vectors = (codes.astype(np.float32) - (STEPS + 1)) * scales[..., None]
    return np.ascontiguousarray(kept.reshape(len(vectors), -1)[:, : vectors.shape[1]])


def _quantised(vectors: Vectors) -> tuple[NDArray[np.uint8], Vectors]:
    """(codes from 1 to 15, scales), shapes (bank, blocks, BLOCK) and (bank, blocks). The last block is filled up with zeros."""
    blocks = np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % BLOCK))).reshape(len(vectors), -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=2), 1e-9).astype(np.float32) / STEPS
    return (np.rint(blocks / scales[..., None]) + STEPS + 1).astype(np.uint8), scales
