"""Export a text model to ONNX, mean pooling and normalisation inside the graph.

Also the child process of `retrieval.encoder`, which exports the packaged MiniLM: python -m retrieval.export PATH int8|fp32
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from retrieval.bert import writable, write_bert


def export(target: Path, precision: str, model: Path) -> None:
    """Write the Hugging Face model in the folder `model` to `target`; renamed into place when whole."""
    with TemporaryDirectory(dir=target.parent) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw, small = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        (write_bert if writable(model) else trace)(model, raw)
        if precision == "int8":
            to_int8(raw, small)
        (small if precision == "int8" else raw).replace(target)


def to_int8(raw: Path, small: Path) -> None:
    """Quantise the weights per channel, the activations as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It advises a step that changes nothing for these models.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(raw, small, weight_type=QuantType.QInt8, per_channel=True)
    finally:
        logging.disable(logging.NOTSET)


def trace(model: Path, target: Path) -> None:
    """Write the Hugging Face model in the folder `model` to `target` as torch traces it: whatever kind it is, in any number of texts."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModel

    class Pooled(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(model, attn_implementation="eager")

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return cast(torch.Tensor, torch.nn.functional.normalize(mean, dim=1))

    ones = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        Pooled().eval(),
        (ones, ones),
        str(target),
        input_names=["input_ids", "attention_mask"],
        output_names=["vector"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "vector": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    from retrieval.encoder import packaged_model

    export(Path(sys.argv[1]), sys.argv[2], packaged_model())
