"""The reader's network in torch: what `training.reader` fits and exports, and what a GPU runs. See reader.py for what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.errors import InputError


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
