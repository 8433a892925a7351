"""The encoder and the reader on an NVIDIA GPU: torch in bfloat16 on CUDA, where the extra `gpu` is installed.

Nothing else ships for it: the encoder's weights are the packaged ones, the reader's are read from its int8 file.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from retrieval.reader_network import ReaderModel

Weights = dict[str, NDArray[np.float32]]


@cache
def gpu() -> str | None:
    """The GPU's name; None where the extra `gpu` is not installed or no GPU can be used. Without a driver, torch is not imported."""
    try:
        version("faiss-gpu")
        ctypes.CDLL("libcuda.so.1")
    except (PackageNotFoundError, OSError):
        return None
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None


class TorchReader:
    """The reader's network in torch, in the place of an ONNX session. `model`: the int8 file; `base`: the folder of the packaged MiniLM.

    Raises what onnx and torch raise for a file that is broken.
    """

    def __init__(self, model: Path, base: Path, device: str = "cuda") -> None:
        network = float_network(model, base)
        network.encoder.bfloat16()
        self._network = network.to(device).eval()
        self._device = device

    def run(self, _: None, feed: Mapping[str, NDArray[np.int64]]) -> Sequence[NDArray[np.float32]]:
        """As `InferenceSession.run`."""
        import torch

        with torch.inference_mode():
            found = self._network(**{name: torch.from_numpy(ids).to(self._device) for name, ids in feed.items()})
        return [scores.float().cpu().numpy() for scores in found]


def float_network(model: Path, base: Path) -> ReaderModel:
    """The reader's network in torch with the weights of its int8 file; see `TorchReader`."""
    import torch

    from retrieval.reader_network import ReaderModel

    network = ReaderModel(base)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in float_weights(model).items()})
    return network


def float_weights(model: Path) -> Weights:
    """The weights of a model that `retrieval.export.to_int8` wrote, by their names in torch, as floats.

    The export names no weight of a linear layer: it is known by the bias that is added next. Raises ValueError for a model of other kind.
    """
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(model).graph
    given = {one.name: to_array(one) for one in graph.initializer}
    found: Weights = {}
    for name, values in given.items():
        base, _, kind = name.rpartition("_")
        if kind == "quantized":
            weight = (values.astype(np.float32) - given[f"{base}_zero_point"].astype(np.float32)) * given[f"{base}_scale"]
            if base.startswith("encoder.embeddings."):
                found[base] = weight
            else:
                found[_bias_after(graph, name).removesuffix("bias") + "weight"] = weight.T.copy()
        elif not name.endswith(("_scale", "_zero_point")):
            found[name] = values.copy()
    return found


def _bias_after(graph: Any, weight: str) -> str:
    """The first named bias on the way from the product with `weight`."""
    biases = {one.name for one in graph.initializer if one.name.endswith(".bias")}
    at = next(node for node in graph.node if weight in node.input)
    for _ in range(6):
        if named := biases & set(at.input):
            return str(named.pop())
        at = next((node for node in graph.node if at.output[0] in node.input), at)
    raise ValueError(f"no bias follows {weight}")
