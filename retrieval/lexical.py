"""BM25 over stemmed words (bm25s; k1 0.9, b 0.4 as in Anserini's baselines for short passages)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from retrieval.text import terms

K1, B = 0.9, 0.4


class Lexical:
    """Exact-word scores beside the vectors'."""

    def __init__(self, model: bm25s.BM25) -> None:
        self._model = model

    @classmethod
    def build(cls, texts: Sequence[str]) -> Lexical:
        """Index `texts`; a corpus without a single word scores nothing."""
        model = bm25s.BM25(k1=K1, b=B)
        tokens = [terms(t) for t in texts]
        model.index(tokens if any(tokens) else [["∅"]] * len(texts), show_progress=False)
        return cls(model)

    @classmethod
    def load(cls, folder: Path) -> Lexical:
        """Map a saved index."""
        return cls(bm25s.BM25.load(str(folder), mmap=True, show_progress=False))

    def save(self, folder: Path) -> None:
        """Write into `folder` (numpy arrays and JSON)."""
        self._model.save(str(folder), show_progress=False)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of every passage, shape (n,), 0 where no word is shared."""
        known = [t for t in dict.fromkeys(terms(question)) if t in self._model.vocab_dict]
        if not known:
            return np.zeros(self._model.scores["num_docs"], np.float32)
        found: NDArray[np.float32] = self._model.get_scores(known)
        return found
