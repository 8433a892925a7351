"""How near a text lies to the examples of each label: the mean cosine of the very nearest, and of some more of them, half and half.

The very nearest tell what was asked before, the others whether that likeness is an accident. Nothing is learnt but what a closeness is
worth (see `calibration`), so that examples are added in no time. (Cover and Hart: Nearest neighbor pattern classification, 1967; Sun et
al.: Out-of-distribution detection with deep nearest neighbors, 2022.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from graph.routers.votes import Floats, Floats32, highest
from retrieval.encoder import Vectors

NEAREST, MORE, SHARE = 3, 30, 50
"""So many are the very nearest, and at most so many in all: of a label with few examples one in so many (SHARE), but the nearest always."""
SCALE = 20.0
"""From a mean cosine to a log-probability, about; the rest is left to the calibration."""
FEW_LABELS = 10
"""So many labels are wide, as experts are, with crooked borders. More are narrow, as intents are."""
Members = Sequence[NDArray[np.intp]]


def members_of(of: Sequence[str], labels: Sequence[str]) -> Members:
    """Which examples belong to each label. `of`: an example's own label, or several joined by +. Raises KeyError for another."""
    found: dict[str, list[int]] = {label: [] for label in labels}
    for row, own in enumerate(of):
        for label in [own] if own in found else own.split("+"):
            found[label].append(row)
    return [np.array(rows, np.intp) for rows in found.values()]


def closeness(cosines: Floats32, members: Members) -> Floats:
    """Unnormalised log-probabilities, shape (n, labels), of texts with `cosines` (n, examples) to the examples."""
    found = np.empty((len(cosines), len(members)))
    for row, every in enumerate(cosines):
        for column, rows in enumerate(members):
            own = every[rows]
            near = own[highest(own, _reach(len(rows)))]
            found[row, column] = near[:NEAREST].mean() + near.mean()
    found *= SCALE / 2
    return found


def left_out(vectors: Vectors, members: Members) -> Floats:
    """The same of the examples themselves, as if each were none: shape (examples, labels)."""
    import faiss

    found = np.empty((len(vectors), len(members)))
    for column, rows in enumerate(members):
        reach = _reach(len(rows))
        near, which = faiss.knn(vectors, vectors[rows], min(reach + 1, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
        near[rows[which] == np.arange(len(vectors))[:, None]] = np.nan
        near = -np.sort(-near, axis=1)[:, :reach]  # what is not a number comes last
        found[:, column] = _mean(near[:, :NEAREST]) + _mean(near)
    found *= SCALE / 2
    return found


def _reach(size: int) -> int:
    """How many of a label's examples are looked at."""
    return min(MORE, max(1, size // SHARE))


def _mean(near: Floats32) -> Floats:
    """Along the rows, of what is a number; 0 where nothing is."""
    there = ~np.isnan(near)
    found: Floats = np.where(there, near, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return found
