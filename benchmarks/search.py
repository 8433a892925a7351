"""Search in a million vectors on one thread: time, recall and memory, beside an exact scan.

Usage: SWITCHYARD_DATA=... python -m benchmarks.search [--vectors N] [--short] [--json] [--report DIR]

The vectors: see benchmarks.realistic. The store is the one that an index of that size gets, saved, and mapped as a server maps it; the scan
is FAISS's flat index over the same vectors in memory. Recall@10 is against the exact ten nearest. Memory: what opening the store and
searching it a hundred times adds to a process: `private` is its own alone (USS), `share` counts each shared page as the part of one of
WORKERS processes that map it at the same time (PSS).
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BrokenBarrierError
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import Measured, Row, Target, parser, run, spread, timed
from benchmarks.realistic import QUERIES, REAL, expand, real_vectors
from retrieval.encoder import Vectors
from retrieval.vectors import FaissStore
from ui.console import bars

VECTORS, SHORT = 1_000_000, 200_000
K, DEEP = 10, 100
SCANNED = 100
"""Queries for the exact scan, and for each worker whose memory is measured."""
WORKERS = 2
P95_MS, RECALL, PRIVATE_MB = 5.0, 0.95, 50.0
_BARRIER: list[Any] = []


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--vectors", type=int, default=VECTORS)
    chosen = options.parse_args()
    run("benchmarks.search", chosen, lambda: measure(SHORT if chosen.short else chosen.vectors, short=chosen.short))


def measure(n: int, *, short: bool = False) -> Measured:
    """Build the store of `n` vectors and search it."""
    with bars() as progress, TemporaryDirectory() as folder:
        real, queries = real_vectors(progress, *((REAL // 20, QUERIES // 10) if short else (REAL, QUERIES)))
        vectors = expand(real, n)
        path = Path(folder) / "vectors.faiss"
        advance = progress("Building, searching, measuring memory", 3)
        start = time.perf_counter()
        FaissStore.build(vectors).save(path)
        seconds = time.perf_counter() - start
        advance(1)
        right, scan = exact(vectors, queries)
        del vectors
        store = FaissStore.load(path)
        timed(lambda q: store.search(q, DEEP), queries)
        mapped, deep = (spread(timed(lambda q, k=k: store.search(q, k), queries)) for k in (K, DEEP))  # type: ignore[misc]
        recall = np.mean([len(np.intersect1d(store.search(q, K)[0], best)) / K for q, best in zip(queries, right, strict=True)])
        advance(1)
        private, share = memory(path, queries[:SCANNED])
        advance(1)
        metrics = {"recall@10": float(recall), "private MB": private, "share MB": share, "file MB": path.stat().st_size / 1e6}
    rows = [
        Row("mapped store", metrics | {"build s": seconds}, mapped),
        Row(f"mapped store, {DEEP} nearest", {}, deep),
        Row("flat scan", {"recall@10": 1.0}, scan, baseline=True),
    ]
    targets = [
        Target("p95 of a search, ms", mapped["p95"], P95_MS),
        Target("recall@10", float(recall), RECALL, least=True),
        Target("private memory of a worker, MB", private, PRIVATE_MB),
    ]
    notes = [f"{len(real):,} of the {n:,} vectors are of real text; {len(queries):,} queries."]
    return Measured("search", len(queries), rows, targets, notes)


def exact(vectors: Vectors, queries: Vectors) -> tuple[NDArray[np.int64], dict[str, float]]:
    """The ids of each query's K nearest, shape (queries, K), and how long a scan takes."""
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    return flat.search(queries, K)[1], spread(timed(lambda q: flat.search(q[None], K), queries[:SCANNED]))


def memory(path: Path, queries: Vectors) -> tuple[float, float]:
    """(private, share) in MB: the mean of WORKERS processes that have the store open at once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, _ready, (context.Barrier(WORKERS),)) as pool:
        found = list(pool.map(_grown, [path] * WORKERS, [queries] * WORKERS))
    private, share = np.mean(found, axis=0)
    return float(private), float(share)


def _ready(barrier: Barrier) -> None:  # type: ignore[valid-type]  # a function that makes one, says the library
    _BARRIER.append(barrier)


def _grown(path: Path, queries: Vectors) -> tuple[float, float]:
    """What one worker grows by. The others wait until all have searched, so that the shared pages are shared when they are counted."""
    before = _memory_mb()
    store = FaissStore.load(path)
    timed(lambda q: store.search(q, DEEP), queries)
    try:
        _BARRIER[0].wait(120)
    except BrokenBarrierError:
        raise RuntimeError("A worker did not come to its end within two minutes.") from None
    after = _memory_mb()
    _BARRIER[0].wait(120)
    return after[0] - before[0], after[1] - before[1]


def _memory_mb() -> tuple[float, float]:
    import psutil

    of = psutil.Process().memory_full_info()
    return of.uss / 1e6, of.pss / 1e6


if __name__ == "__main__":
    main()
