"""Child process of `retrieval.encoder`: export the packaged MiniLM to ONNX. Usage: python -m retrieval.export PATH int8|fp32."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast


def export(target: Path, precision: str) -> None:
    """Write the model, mean pooling and normalisation inside the graph, to `target`; renamed into place when whole."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    import torch
    from transformers import AutoModel

    from retrieval.encoder import packaged_model

    class Pooled(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(packaged_model(), attn_implementation="eager")

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return cast(torch.Tensor, torch.nn.functional.normalize(mean, dim=1))

    with TemporaryDirectory(dir=target.parent) as folder:
        raw, small = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        ones = torch.ones(2, 8, dtype=torch.long)
        axes = {0: "batch", 1: "tokens"}
        torch.onnx.export(
            Pooled().eval(),
            (ones, ones),
            str(raw),
            input_names=["input_ids", "attention_mask"],
            output_names=["vector"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "vector": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        if precision == "int8":
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(raw, small, weight_type=QuantType.QInt8, per_channel=True)
        (small if precision == "int8" else raw).replace(target)


if __name__ == "__main__":
    export(Path(sys.argv[1]), sys.argv[2])
