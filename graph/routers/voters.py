"""Labelled examples that vote by their similarity to a question, in the space of a text encoder of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from graph.routers.base import Examples
from graph.routers.calibration import Floats
from graph.routers.votes import Floats32, distrust_of, highest, learn, tally
from retrieval.encoder import MAX_TOKENS, Vectors
from retrieval.onnx_bank import OnnxBank, as_kept, write_bank
from retrieval.onnx_text import OnnxText

SHARPNESS, RIDGE = 1.0, 0.05
"""Of the votes, see `votes`."""


class Voters:
    """Opens, when first asked, an encoder `model` with its `tokenizer`, and the examples' vectors, `bank`.

    texts: the examples; votes, left_out: shape (examples, labels), what each votes, and its scores without its own vote.
    The files must outlast it. Raises IndexFault for one that is broken.
    """

    def __init__(self, model: Path, tokenizer: Path, bank: Path, texts: Sequence[str], votes: Floats32, left_out: Floats32) -> None:
        self.model, self.tokenizer, self.bank = model, tokenizer, bank
        self.texts, self.votes, self.left_out = texts, votes, left_out
        self._last: tuple[str, Vectors] = "", votes

    @classmethod
    def learn(cls, model: Path, tokenizer: Path, bank: Path, examples: Examples) -> Self:
        """Fit the votes, and write `bank`. Minutes for many thousand examples."""
        vectors = as_kept(open_text(model, tokenizer).vectors(examples.texts))
        found = learn("kernel", vectors, examples.signs, distrust_of(examples.signs), SHARPNESS, RIDGE)
        write_bank(found.anchors, bank)
        return cls(model, tokenizer, bank, examples.texts, found.votes, found.left_out.astype(np.float32))

    def scores(self, texts: Sequence[str]) -> Floats:
        """Shape (len(texts), labels)."""
        if not texts:
            return np.zeros((0, self.votes.shape[1]))
        return tally("kernel", self._cosines(texts), self.votes, SHARPNESS)

    def left_out_scores(self, texts: Sequence[str]) -> Floats:
        """As `scores`, but an example has no vote on itself, though the encoder may have seen it."""
        place = {text: n for n, text in enumerate(self.texts)}
        rows = [self.left_out[[place[text]]] if text in place else self.scores([text]) for text in texts]
        return np.concatenate([np.zeros((0, self.votes.shape[1])), *rows]).astype(np.float64)

    def nearest(self, text: str, k: int) -> list[tuple[int, float]]:
        """The places of the `k` examples that lie nearest, with their cosines, best first."""
        cosines = self._cosines([text])[0]
        return [(n, round(float(cosines[n]), 4)) for n in highest(cosines, k).tolist()]

    @cached_property
    def _opened(self) -> tuple[OnnxText, OnnxBank]:
        return open_text(self.model, self.tokenizer), OnnxBank(self.bank)

    def _cosines(self, texts: Sequence[str]) -> Vectors:
        """To every example, shape (n, examples). The last question's are kept: probabilities and nearest examples both want them."""
        asked, cosines = self._last  # read once: another thread may ask meanwhile
        if len(texts) == 1 and asked == texts[0]:
            return cosines
        text, bank = self._opened
        found = bank.cosines(text.vectors(texts))
        if len(texts) == 1:
            self._last = texts[0], found
        return found


def open_text(model: Path, tokenizer: Path) -> OnnxText:
    """The encoder of a router. Raises IndexFault for a file that is broken."""
    return OnnxText(model, tokenizer, max_tokens=MAX_TOKENS)
