"""The reader's network: one encoder over a question and a passage, with three heads. Exported to ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from core.errors import InputError
from retrieval.export import to_int8
from retrieval.pairs import Pair

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("answers", "start", "end")


class Batch(NamedTuple):
    """Padded pairs, each tensor of shape (pairs, tokens)."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor


class ReaderModel(nn.Module):  # type: ignore[misc]
    """`answers`, shape (pairs,): the log-odds that the passage answers the question, from its first and its mean hidden state.

    `start` and `end`, shape (pairs, tokens): scores of a token to be the first or the last one of the answer; the first token, [CLS],
    stands for "no answer here" (Devlin et al.: BERT, 2019, section 4.3).
    """

    def __init__(self, base: Path) -> None:
        from transformers import AutoModel
        from transformers.utils.logging import disable_progress_bar, set_verbosity_error

        super().__init__()
        disable_progress_bar()
        set_verbosity_error()  # it reports the pooling layer, which is left out
        try:
            self.encoder: Any = AutoModel.from_pretrained(
                base, attn_implementation="eager", add_pooling_layer=False, attention_probs_dropout_prob=0.0, local_files_only=True
            )
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"Expected the folder of a BERT model at {base}; it cannot be loaded: {str(error).splitlines()[0]}") from None
        width = self.encoder.config.hidden_size
        self.answers = nn.Linear(2 * width, 1)
        self.spans = nn.Linear(width, 2)
        # Word embeddings stay: a few thousand questions touch only some of them. It also saves their gradient.
        for parameter in self.encoder.get_input_embeddings().parameters():
            parameter.requires_grad_(False)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The three heads' scores."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        spans = self.spans(hidden)
        return self.answers(torch.cat([hidden[:, 0], mean], dim=1)).squeeze(1), spans[..., 0], spans[..., 1]


def pad(pairs: Sequence[Pair], device: torch.device | str = "cpu") -> Batch:
    """Pairs as one batch."""
    length = max(len(pair.ids) for pair in pairs)

    def stack(rows: Sequence[Any]) -> torch.Tensor:
        return torch.tensor(np.stack([np.pad(row, (0, length - len(row))) for row in rows]), device=device)

    return Batch(stack([p.ids for p in pairs]), stack([np.ones_like(p.ids) for p in pairs]), stack([p.types for p in pairs]))


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
