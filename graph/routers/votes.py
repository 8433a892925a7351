"""How labelled examples vote by their similarity to a question: two methods, each an array of votes over an array of vectors.

kernel: ridge regression on the similarity of the embeddings. Example i has votes a_i per label, fitted so that
    score_label(x) = sum_i a_i,label * exp(2 * sharpness * (cos(x, x_i) - 1))
is near +1 for the example's own label and -1 for the others; classes weigh the same whatever their number of examples (Rifkin, Yeo,
Poggio: Regularized Least-Squares Classification, 2003). Of very many examples a part holds the votes, fitted to all of them (Williams and
Seeger: Using the Nyström Method to Speed Up Kernel Machines, 2001).
centroids: the cosine to the mean of each label's examples.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from core.errors import InputError
from retrieval.encoder import Vectors

EXACT_UP_TO = 45_000
"""Examples. So many take 8 GB and a few minutes; a part of them alone would cost several points of accuracy."""
LANDMARKS = 2_000
JITTER = 1e-5
PROBES = 512
COLUMN = 64
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Votes:
    """What was learnt. anchors: (m, dimensions), votes: (m, labels), float32; left_out: (n, labels), each example's scores without it."""

    anchors: Vectors
    votes: Floats32
    left_out: Floats


def distrust_of(targets: Floats) -> Floats:
    """Shape (n,): in proportion to the size of an example's (largest) class, so that classes weigh the same; `targets` as in `learn`."""
    size = (targets > 0).sum(axis=0)
    found: Floats = np.where(targets > 0, size, 0).max(axis=1) * len(size) / len(targets)
    return found


def learn(method: str, vectors: Vectors, targets: Floats, distrust: Floats, sharpness: float, ridge: float) -> Votes:
    """Votes of examples with `vectors` (n, dimensions) and `targets` (n, labels; +1 own label, -1 other).

    `distrust`: (n,), the larger the class of an example, the less it counts. For `kernel` above EXACT_UP_TO examples, the first LANDMARKS
    of them hold the votes: shuffle them before.
    """
    if method == "kernel":
        of_all = len(vectors) <= EXACT_UP_TO
        return (_every_example if of_all else _landmarks)(vectors, targets, distrust, sharpness, ridge)
    return _centroids(vectors, (targets > 0) / distrust[:, None])


def tally(method: str, cosines: Vectors, votes: Floats32, sharpness: float) -> Floats:
    """Scores, shape (n, labels), of texts with `cosines` (n, m) to the anchors."""
    if method == "kernel":
        return (kernel(cosines, sharpness) @ votes).astype(np.float64)
    return cosines.astype(np.float64)


def highest(values: Floats32, k: int) -> NDArray[np.intp]:
    """Where the `k` highest of them stand, the highest first. Most are sieved out: what is below k columns' maxima is none."""
    k, columns = min(k, len(values)), len(values) // COLUMN
    above = np.arange(len(values))
    if columns > k:
        # Rows are compared whole, many numbers at once.
        tops = values[: columns * COLUMN].reshape(COLUMN, columns).max(axis=0)
        above = np.flatnonzero(values >= np.partition(tops, -k)[-k])
    return above[np.argsort(-values[above], kind="stable")[:k]]


def kernel(cosines: Vectors, sharpness: float) -> Floats32:
    """How alike two texts are, from 1 for the same down to exp(-4 * sharpness)."""
    found: Floats32 = np.exp(2 * sharpness * (cosines - 1))
    return found


def _every_example(vectors: Vectors, targets: Floats, distrust: Floats, sharpness: float, ridge: float) -> Votes:
    """In place, as the matrix is all the memory there may be; LAPACK wants columns, and of a symmetric matrix the transpose has them."""
    from scipy.linalg import lapack

    with threadpool_limits(os.cpu_count(), user_api="blas"):  # a turn has set it to one
        matrix = vectors @ vectors.T
        matrix -= 1
        matrix *= 2 * sharpness
        np.exp(matrix, out=matrix)
        matrix[np.diag_indices(len(matrix))] += ridge * distrust
        factor, failed = lapack.spotrf(matrix.T, lower=1, overwrite_a=1)
        if failed:
            raise InputError("The router's examples cannot be told apart: are some of them the same but for spaces?")
        votes, _ = lapack.spotrs(factor, targets.astype(np.float32), lower=1)
        probes = _probes(len(matrix))
        solved, _ = lapack.spotrs(factor, probes, lower=1)
    own = np.einsum("ij,ij->i", probes, solved)  # the diagonal of the inverse
    return Votes(vectors, np.ascontiguousarray(votes), targets - votes / own[:, None])


def _probes(size: int) -> Floats32:
    """Columns whose products with what a matrix makes of them sum to its diagonal: exactly for a few rows, for many within some percent.

    (Bekas, Kokiopoulou, Saad: An estimator for the diagonal of a matrix, 2007.) The whole inverse would take as long as the fit.
    """
    if size <= PROBES:
        return np.eye(size, dtype=np.float32)
    found: Floats32 = (np.random.default_rng(0).choice([-1.0, 1.0], (size, PROBES)) / np.sqrt(PROBES)).astype(np.float32)
    return found


def _landmarks(vectors: Vectors, targets: Floats, distrust: Floats, sharpness: float, ridge: float) -> Votes:
    from scipy.linalg import cho_factor, cho_solve

    anchors = vectors[:LANDMARKS]
    to_anchors = kernel(vectors @ anchors.T, sharpness).astype(np.float64)
    weighted = to_anchors / distrust[:, None]
    matrix = to_anchors.T @ weighted + ridge * kernel(anchors @ anchors.T, sharpness)
    matrix[np.diag_indices(len(anchors))] += JITTER * len(vectors)
    factor = cho_factor(matrix)
    votes = cho_solve(factor, weighted.T @ targets)
    # The leverage of an example on its own score: how much of the score is its own doing.
    leverage = (cho_solve(factor, to_anchors.T).T * weighted).sum(axis=1)
    return Votes(anchors, votes.astype(np.float32), targets - (targets - to_anchors @ votes) / (1 - leverage)[:, None])


def _centroids(vectors: Vectors, own: Floats) -> Votes:
    members = (own > 0).astype(np.float64)
    sums = members.T @ vectors
    left_out = vectors @ _unit(sums).T
    for label in range(own.shape[1]):
        inside = np.flatnonzero(members[:, label])
        left_out[inside, label] = (vectors[inside] * _unit(sums[label] - vectors[inside])).sum(axis=1)
    return Votes(_unit(sums).astype(np.float32), np.eye(own.shape[1], dtype=np.float32), left_out)


def _unit(rows: Floats) -> Floats:
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)
    return found
