"""The vector store: a Protocol, and FAISS behind it. Qdrant, the store of several machines, is in qdrant.py."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import Vectors
from retrieval.gpu import gpu

# One question is searched on one thread: a pool that wakes for each question costs more than it gains.
faiss.omp_set_num_threads(1)

FLAT_LIMIT = 150_000
"""Up to here an exact scan takes a few milliseconds; above it, an inverted file with 8-bit codes."""
PROBED = 112
"""As many vectors are looked at as so many of its lists hold on average: more find more, and take longer (benchmarks.search)."""
_ON_GPU = Lock()
"""Held by whoever uses the GPU: faiss lets no two threads, even where both only search, and not in two indexes either."""
Ids = NDArray[np.int64]
Cosines = NDArray[np.float32]


class VectorStore(Protocol):
    """Nearest neighbours by inner product of unit vectors, numbered from 0. Its contract: tests/retrieval/test_vectors.py."""

    def __len__(self) -> int:
        """Number of vectors."""

    def search(self, vector: Vectors, k: int) -> tuple[Ids, Cosines]:
        """(ids, cosines) of the `k` nearest to one vector of shape (dimensions,), best first; fewer when the store is smaller.

        Raises ValueError for a vector of another shape.
        """

    def cosines(self, ids: Ids, vector: Vectors) -> Cosines:
        """The cosines of the stored vectors `ids` with one vector, shape (len(ids),). Raises ValueError as `search` does."""

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors of `ids`, shape (len(ids), dimensions)."""

    def save(self, path: Path) -> None:
        """Write the vectors to the file `path`, which `FaissStore.load` opens."""


class FaissStore:
    """FAISS: exact up to 150,000 vectors, IVF with scalar quantisation above; files are memory-mapped and shared."""

    def __init__(self, index: Any) -> None:
        self._index = index
        if isinstance(index, faiss.IndexIVF):
            # Lists are uneven: where they are long fewer are searched, where they are short more, so that all searches take the same time.
            index.nprobe, index.max_codes = min(2 * PROBED, index.nlist), PROBED * index.ntotal // index.nlist

    @classmethod
    def build(cls, vectors: Vectors) -> FaissStore:
        """Index `vectors`, shape (n, dimensions), rows of unit length."""
        n, dimensions = vectors.shape
        if n <= FLAT_LIMIT:
            return cls.exact(vectors)
        lists = int(2 * n**0.5)
        quantiser = faiss.IndexFlatIP(dimensions)
        index: Any = faiss.IndexIVFScalarQuantizer(quantiser, dimensions, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
        sample = np.random.default_rng(0).permutation(n)[: 40 * lists]
        index.train(vectors[sample])
        index.add(vectors)
        index.make_direct_map()
        return cls(index)

    @classmethod
    def exact(cls, vectors: Vectors) -> FaissStore:
        """Like `build`, but every bit of the vectors is kept, however many there are."""
        index: Any = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
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

    def search(self, vector: Vectors, k: int) -> tuple[Ids, Cosines]:
        """See `VectorStore.search`."""
        check_shape(vector, self._index.d)
        index, alone = self._searched
        with alone:
            scores, ids = index.search(vector[None, :], min(k, len(self)))
        found = ids[0] >= 0
        return ids[0][found], scores[0][found]

    @cached_property
    def _searched(self) -> tuple[Any, AbstractContextManager[Any]]:
        """The index and what to hold while it is searched; or its copy on a GPU, which only one thread at a time may use."""
        if not (gpu() and faiss.get_num_gpus()):
            return self._index, nullcontext()
        with _ON_GPU:
            return faiss.index_cpu_to_gpu(_gpu_resources(), 0, self._index), _ON_GPU

    def cosines(self, ids: Ids, vector: Vectors) -> Cosines:
        """See `VectorStore.cosines`."""
        check_shape(vector, self._index.d)
        found: Cosines = self.vectors(ids) @ vector
        return found

    def vectors(self, ids: Ids) -> Vectors:
        """See `VectorStore.vectors`."""
        found: Vectors = self._index.reconstruct_batch(ids)
        return found


@cache
def _gpu_resources() -> Any:
    """The process's memory and streams on the GPU: each of these takes more than a gigabyte."""
    return faiss.StandardGpuResources()


def check_shape(vector: Vectors, dimensions: int) -> None:
    """Raises ValueError when `vector` is not one vector of `dimensions` numbers."""
    if vector.shape != (dimensions,):
        raise ValueError(f"Expected one vector of shape ({dimensions},); got {vector.shape}.")
