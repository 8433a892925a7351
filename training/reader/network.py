"""Pairs as batches for the reader's network, and its export to int8 ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from core.errors import InputError
from retrieval.export import to_int8
from retrieval.gpu import float_network
from retrieval.pairs import Pair
from retrieval.reader import MODEL
from retrieval.reader_network import ReaderModel

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("answers", "start", "end")


class Batch(NamedTuple):
    """Padded pairs, each tensor of shape (pairs, tokens)."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor


def pad(pairs: Sequence[Pair], device: torch.device | str = "cpu") -> Batch:
    """Pairs as one batch."""
    length = max(len(pair.ids) for pair in pairs)

    def stack(rows: Sequence[Any]) -> torch.Tensor:
        return torch.tensor(np.stack([np.pad(row, (0, length - len(row))) for row in rows]), device=device)

    return Batch(stack([p.ids for p in pairs]), stack([np.ones_like(p.ids) for p in pairs]), stack([p.types for p in pairs]))


def opened(reader: Path, base: Path) -> ReaderModel:
    """The network in the folder `reader`, to be trained further. `base`: see `ReaderModel`. Raises InputError."""
    try:
        return float_network(reader / MODEL, base)
    except Exception as error:  # the libraries' errors share no base class
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"Expected a reader in {reader}; its {MODEL} cannot be opened: {reason}.") from None


def export(model: ReaderModel, target: Path) -> None:
    """Write `target` as int8 ONNX, renamed into place when whole."""
    model = model.to("cpu").eval()
    ones = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "pairs", 1: "tokens"}
    with TemporaryDirectory(dir=target.parent) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw, small = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        torch.onnx.export(
            model,
            (ones, ones, ones),
            str(raw),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=dict.fromkeys(INPUTS, axes) | {"answers": {0: "pairs"}, "start": axes, "end": axes},
            opset_version=17,
            dynamo=False,
        )
        to_int8(raw, small)
        small.replace(target)
