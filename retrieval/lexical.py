"""BM25 over stemmed words (bm25s; k1 0.9, b 0.4 as in Anserini's baselines for short passages).

bm25s works the scores out when an index is built, and writes them down as arrays. They are read without it: a search only adds some of them
up, and importing bm25s, with SciPy behind it, takes longer than answering a question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.text import terms

K1, B = 0.9, 0.4
_ARRAYS = ("data", "indices", "indptr")
_SCORES, _VOCABULARY, _SIZE = "{}.csc.index.npy", "vocab.index.json", "params.index.json"


class Lexical:
    """Exact-word scores beside the vectors'."""

    def __init__(self, vocabulary: Mapping[str, int], scores: Mapping[str, Any]) -> None:
        """`vocabulary` numbers the words. `scores`: of each word in each passage that has it, as bm25s gives them.

        They are a sparse matrix with a column a word. data, indices: scores and passages, column by column; indptr: where each column
        begins, and the end of the last; num_docs: the number of passages.
        """
        self._vocabulary = vocabulary
        self._scores = scores

    @classmethod
    def build(cls, texts: Sequence[str]) -> Lexical:
        """Index `texts`; a corpus without a single word scores nothing."""
        import bm25s

        model = bm25s.BM25(k1=K1, b=B)
        tokens = [list(terms(t)) for t in texts]
        model.index(tokens if any(tokens) else [["∅"]] * len(texts), show_progress=False)
        return cls(model.vocab_dict, model.scores)

    @classmethod
    def load(cls, folder: Path) -> Lexical:
        """Map a saved index. Raises OSError, EOFError, ValueError or KeyError when it is broken."""
        vocabulary, size = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (_VOCABULARY, _SIZE))
        arrays = {name: np.load(folder / _SCORES.format(name), mmap_mode="r") for name in _ARRAYS}
        return cls(vocabulary, arrays | {"num_docs": size["num_docs"]})

    def save(self, folder: Path) -> None:
        """Write into `folder` (numpy arrays and JSON)."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / _SCORES.format(name), self._scores[name])
        for name, value in ((_VOCABULARY, self._vocabulary), (_SIZE, {"num_docs": self._scores["num_docs"]})):
            (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of every passage, shape (n,), 0 where no word is shared."""
        found = np.zeros(self._scores["num_docs"], np.float32)
        known = (self._vocabulary.get(term) for term in dict.fromkeys(terms(question)))
        for word in (word for word in known if word is not None):
            column = slice(self._scores["indptr"][word], self._scores["indptr"][word + 1])
            found[self._scores["indices"][column]] += self._scores["data"][column]
        return found
