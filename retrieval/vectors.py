"""The vector store: a Protocol, and FAISS behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors

# One question is searched on one thread: a pool that wakes for each question costs more than it gains.
faiss.omp_set_num_threads(1)

FLAT_LIMIT = 150_000
"""Up to here an exact scan takes a few milliseconds; above it, an inverted file with 8-bit codes."""


class VectorStore(Protocol):
    """Nearest neighbours by inner product of unit vectors."""

    def __len__(self) -> int:
        """Number of vectors."""

    def search(self, vector: Vectors, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(ids, cosines) of the `k` nearest to one vector of shape (dimensions,), best first; fewer when the store is smaller."""

    def vectors(self, ids: NDArray[np.int64]) -> Vectors:
        """The stored vectors of `ids`, shape (len(ids), dimensions)."""

    def save(self, path: Path) -> None:
        """Write the store to `path`."""


class FaissStore:
    """FAISS: exact up to 150,000 vectors, IVF with scalar quantisation above; files are memory-mapped and shared."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Vectors) -> FaissStore:
        """Index `vectors`, shape (n, dimensions), rows of unit length."""
        n, dimensions = vectors.shape
        index: Any
        if n <= FLAT_LIMIT:
            index = faiss.IndexFlatIP(dimensions)
        else:
            lists = int(4 * n**0.5)
            quantiser = faiss.IndexFlatIP(dimensions)
            index = faiss.IndexIVFScalarQuantizer(quantiser, dimensions, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
            sample = np.random.default_rng(0).permutation(n)[: 40 * lists]
            index.train(vectors[sample])
            index.nprobe = 32
        index.add(vectors)
        if n > FLAT_LIMIT:
            index.make_direct_map()
        return cls(index)

    @classmethod
    def load(cls, path: Path) -> FaissStore:
        """Map a saved index; costs neither time nor memory until it is searched. Raises RuntimeError on a broken file."""
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))

    def save(self, path: Path) -> None:
        """See `VectorStore.save`."""
        faiss.write_index(self._index, str(path))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, vector: Vectors, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `VectorStore.search`."""
        scores, ids = self._index.search(vector[None, :], min(k, len(self)))
        found = ids[0] >= 0
        return ids[0][found], scores[0][found]

    def vectors(self, ids: NDArray[np.int64]) -> Vectors:
        """See `VectorStore.vectors`."""
        found: Vectors = self._index.reconstruct_batch(ids)
        return found
