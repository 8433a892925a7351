"""A router together with what people corrected: a small kernel regression that moves its log-probabilities.

Each corrected question votes for so much of a move that its label becomes as probable as TAUGHT; the shipped examples that lie near it vote
for none. Kernel ridge regression, as in a second stage of boosting (Friedman: Greedy Function Approximation, 2001): it is solved in a
moment, the router below stays as it is, and far from every correction so do its probabilities. The questions' texts are not kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.types import Neighbour
from graph.routers.base import Router
from graph.routers.calibration import Floats, softmax
from graph.routers.saved import broken, read_router, write_router
from graph.routers.votes import kernel
from retrieval.encoder import Encoder, Vectors

KIND = "feedback"
RIDGE = 1.0
TAUGHT, FLOOR = 0.96, 1e-4
"""The probability that a correction aims at; and the least that a router's counts as."""


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """What the regression is fitted to, n rows. ids: of the feedback, empty for shipped examples. vectors: (n, dimensions), of unit length.

    encoder: the fingerprint of the one that the vectors come from.
    moves: (n, labels), what is to be added to the log-probabilities, rows sum to 0. weights: (n,), above 0: how much a row counts.
    sharpness: of the kernel, above 0; a wide (small) one teaches more, and disturbs more, even what lies far away.
    """

    labels: list[str]
    encoder: str
    ids: list[str]
    vectors: Vectors
    moves: Floats
    weights: Floats
    sharpness: float

    def without(self, ids: Collection[str]) -> Corrections:
        """As if this feedback had never been given."""
        left = [id_ for id_ in self.ids if id_ not in ids]
        if not any(left):
            ids, left = self.ids, []  # nothing that people said: the shipped examples that lay near it say nothing either
        kept = np.array([id_ not in ids for id_ in self.ids], bool)
        return replace(self, ids=left, vectors=self.vectors[kept], moves=self.moves[kept], weights=self.weights[kept])

    def votes(self) -> Floats:
        """Shape (n, labels): fitted so that the kernel's weighted sum of them is near the moves."""
        inside = kernel(self.vectors @ self.vectors.T, self.sharpness).astype(np.float64)
        found: Floats = np.linalg.solve(inside + RIDGE * np.diag(1 / self.weights), self.moves).astype(np.float64)
        return found

    def save(self, folder: Path, base: str) -> None:
        """Write to `folder`, whole or not at all. `base`: the identity of the router that these correct. Raises IndexFault."""
        about = {"kind": KIND, "encoder": self.encoder, "labels": self.labels, "base": base, "ids": self.ids, "sharpness": self.sharpness}
        write_router(folder, about, {"vectors": self.vectors, "moves": self.moves, "weights": self.weights})

    @classmethod
    def load(cls, folder: Path) -> tuple[Corrections, str]:
        """What `save` wrote, of whichever encoder, and its `base`. Raises IndexFault when it is missing or broken."""
        about, arrays = read_router(folder, KIND, None)
        try:
            parts = {name: arrays[name] for name in ("vectors", "moves", "weights")}
            return cls(about["labels"], about["encoder"], about["ids"], **parts, sharpness=float(about["sharpness"])), about["base"]
        except (KeyError, TypeError, ValueError) as error:
            raise broken(folder, KIND, error) from None

    def corrected(self, probabilities: Floats, vectors: Vectors, votes: Floats) -> Floats:
        """Probabilities (n, labels) of texts with `vectors` (n, dimensions) after the `votes`."""
        return softmax(_log(probabilities) + kernel(vectors @ self.vectors.T, self.sharpness) @ votes)


class CorrectedRouter:
    """`base`, a fitted router, with `corrections` of it."""

    def __init__(self, base: Router, encoder: Encoder, corrections: Corrections) -> None:
        self.base = base
        self.kind = f"{base.kind}+{KIND}"
        self.labels = base.labels
        self._encoder = encoder
        self._corrections, self._votes = corrections, corrections.votes()

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> CorrectedRouter:
        """See `Router.fit`: the router below learns; the corrections stay."""
        self.base.fit(texts, labels)
        return self

    def calibrate(self, texts: Sequence[str], labels: Sequence[str]) -> CorrectedRouter:
        """See `Router.calibrate`."""
        self.base.calibrate(texts, labels)
        return self

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.predict_proba`."""
        return self._corrected(texts, self.base.predict_proba(texts))

    def left_out_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.left_out_proba`."""
        return self._corrected(texts, self.base.left_out_proba(texts))

    def _corrected(self, texts: Sequence[str], probabilities: Floats) -> Floats:
        return self._corrections.corrected(probabilities, self._encoder.encode(list(texts)), self._votes)

    def familiarity(self, texts: Sequence[str]) -> Floats:
        """See `Router.familiarity`."""
        return self.base.familiarity(texts)

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """See `Router.nearest`: of the shipped examples only, for what one person asked is not shown to another."""
        return self.base.nearest(text, k)

    def save(self, folder: Path) -> None:
        """See `Router.save`: the router below; corrections are kept with their version."""
        self.base.save(folder)


def moves_to(labels: Sequence[int], probabilities: Floats) -> Floats:
    """What has to be added to the log of `probabilities` (n, labels), so that the labels, given by their columns, have TAUGHT."""
    wanted = np.full(probabilities.shape, (1 - TAUGHT) / max(1, probabilities.shape[1] - 1))
    wanted[np.arange(len(labels)), list(labels)] = TAUGHT
    found = np.log(wanted) - _log(probabilities)
    centred: Floats = found - found.mean(axis=1, keepdims=True)
    return centred


def _log(probabilities: Floats) -> Floats:
    found: Floats = np.log(np.maximum(probabilities, FLOOR))
    return found
