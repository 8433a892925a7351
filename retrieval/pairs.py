"""A question and a passage as one sequence of tokens: how the reader sees them, in training as in service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

QUESTION_CHARS = 400


@dataclass(frozen=True, slots=True)
class Pair:
    """[CLS] question [SEP] title. text [SEP].

    ids, types: shape (tokens,). spans: shape (tokens, 2), where in `text` a token stands, in characters; (-1, -1) for all other tokens.
    """

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    spans: NDArray[np.int64]


def encode_pair(tokenizer: Tokenizer, question: str, title: str, text: str) -> Pair:
    """The pair's tokens. `tokenizer`: see `retrieval.tokens`."""
    head = f"{title}. " if title else ""
    found = tokenizer.encode(question[:QUESTION_CHARS], head + text)
    ids, types = np.array(found.ids, np.int64), np.array(found.type_ids, np.int64)
    spans = np.array(found.offsets, np.int64) - len(head)
    spans[(types == 0) | np.array(found.special_tokens_mask, bool) | (spans[:, 0] < 0)] = -1
    return Pair(ids, types, spans)
