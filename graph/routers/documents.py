"""What the experts' documents say of a text: how near the nearest of them lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graph.routers.calibration import Floats
from graph.routers.scored import Features
from retrieval.encoder import Encoder, Vectors
from retrieval.vectors import VectorStore

NEAREST_DOCUMENTS = 3
Documents = Callable[[str], VectorStore | None]
"""The vectors of a label's documents, or None where it has none."""


def nearness(store: VectorStore, vector: Vectors) -> float:
    """The mean cosine of the NEAREST_DOCUMENTS nearest documents, in [-1, 1]; `vector` has shape (dimensions,)."""
    return float(store.search(vector, NEAREST_DOCUMENTS)[1].mean())


def document_features(encoder: Encoder, documents: Documents, names: Sequence[str]) -> Features:
    """Features of a text: its `nearness` to the documents of each label in `names`; 0 for one that has none."""

    def features(texts: Sequence[str]) -> Floats:
        stores = [documents(name) for name in names]
        rows = [[nearness(store, vector) if store else 0.0 for store in stores] for vector in encoder.encode(texts)]
        return np.array(rows, np.float64).reshape(len(texts), len(names))

    return features
