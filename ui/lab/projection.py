"""From the embedding's many dimensions to the two of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_VARIANCE = 1e-6
"""Added to each dimension of unit vectors: with one example a label there is none."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A linear map to two dimensions. `centre`: shape (dimensions,), goes to the origin; `axes`: shape (2, dimensions)."""

    centre: Floats
    axes: Floats

    def apply(self, vectors: NDArray[np.floating]) -> Floats:
        """Points of `vectors`: (n, dimensions) to (n, 2)."""
        placed: Floats = (vectors - self.centre) @ self.axes.T
        return placed


def fit_projection(vectors: NDArray[np.floating], labels: Sequence[str]) -> Projection:
    """The two directions in which the labels lie farthest apart.

    Linear discriminants (Fisher, 1936), every label weighing the same, under a shrunk covariance (Ledoit and Wolf, 2004). Two labels have
    one such direction, a single label none: principal components of what is left take the other places. The fitted points have unit
    variance along these, and on average within each label along the former.
    """
    rows = np.asarray(vectors, np.float64)
    centre = rows.mean(axis=0)
    found = _discriminants(rows, labels)
    basis = np.linalg.qr(found.T)[0]
    left = (rows - centre) - (rows - centre) @ basis @ basis.T
    return Projection(centre, np.array([_upright(axis) for axis in [*found, *_principal(left, 2 - len(found))]]))


def _discriminants(rows: Floats, labels: Sequence[str]) -> Floats:
    """Shape (k, dimensions): k is 2, or less where there are fewer than three labels."""
    from scipy.linalg import eigh
    from sklearn.covariance import ledoit_wolf

    names, of = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        return np.zeros((0, rows.shape[1]))
    means = np.stack([rows[of == n].mean(axis=0) for n in range(len(names))])
    within = ledoit_wolf(rows - means[of], assume_centered=True)[0] + LEAST_VARIANCE * np.eye(rows.shape[1])
    found: Floats = eigh(np.cov(means.T), within)[1].T[::-1]
    return found[: min(2, len(names) - 1)]


def _principal(rows: Floats, k: int) -> Floats:
    """The first `k` principal components of centred rows, scaled to unit variance; zeros where there are none."""
    axes = np.zeros((k, rows.shape[1]))
    if not k:
        return axes
    _, spread, found = np.linalg.svd(rows, full_matrices=False)
    for n in range(min(k, len(found))):
        if spread[n] > 1e-9:
            axes[n] = found[n] / (spread[n] / np.sqrt(len(rows)))
    return axes


def _upright(axis: Floats) -> Floats:
    """With its largest component positive: the sign of an axis is arbitrary, and the map must not flip from machine to machine."""
    return axis if axis[np.abs(axis).argmax()] >= 0 else -axis
