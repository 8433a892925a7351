"""Multinomial logistic regression, fitted by scikit-learn, served by one matrix product or two.

On the embeddings themselves, or, with `landmarks`, on how alike a text is to that many of the examples: kernel logistic regression, which
can follow borders that are not straight (the map of Williams and Seeger: Using the Nyström Method to Speed Up Kernel Machines, 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from core.errors import InputError
from graph.routers.base import Examples, as_single, class_weights, parts
from graph.routers.calibration import Floats, Ints
from graph.routers.saved import broken, read_router, write_router
from graph.routers.scored import EmbeddedRouter, Features
from graph.routers.votes import kernel
from retrieval.encoder import Encoder, Vectors

STRENGTH = 10.0
SHARPNESS = 2.0
"""How fast likeness to a landmark fades with distance."""
SMALLEST = 1e-4
FOLDS = 3
UNSEEN = -30.0
"""The score of a label that a fold has no example of."""


class LogisticRouter(EmbeddedRouter):
    """`strength`: the inverse of the penalty (scikit-learn's C); `landmarks`: see the module, 0 for none. See `EmbeddedRouter`.

    `features` are scaled to unit variance.
    """

    kind = "logistic"

    def __init__(
        self,
        encoder: Encoder,
        *,
        strength: float = STRENGTH,
        landmarks: int = 0,
        features: Features | None = None,
        balanced: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, features=features, balanced=balanced, seed=seed)
        if not 0 < strength < np.inf or landmarks < 0:
            raise InputError(f"Expected a strength above 0 and no fewer than 0 landmarks; got strength={strength}, landmarks={landmarks}.")
        self.strength = strength
        self.landmarks = landmarks
        self._landmarks: Vectors = np.zeros((0, encoder.dimensions), np.float32)
        self._weights: Vectors = np.zeros((0, 0), np.float32)

    def scores(self, texts: Sequence[str]) -> Floats:
        """See `ScoredRouter.scores`."""
        if not texts:
            return np.zeros((0, len(self.labels)))
        return _scores(self._columns(self.inputs(texts)).astype(np.float32), self._weights)

    def _columns(self, inputs: Floats) -> Floats:
        """The inputs, their embeddings replaced by how alike they are to the landmarks."""
        if not len(self._landmarks):
            return inputs
        vectors, further = np.split(inputs, [self.encoder.dimensions], axis=1)
        return np.hstack([kernel(vectors.astype(np.float32) @ self._landmarks.T, SHARPNESS), further])

    def _learn(self, examples: Examples) -> tuple[Ints, Floats]:
        inputs, targets = self.inputs(examples.texts), examples.targets
        chosen = np.random.default_rng(self.seed).permutation(len(inputs))[: self.landmarks]
        self._landmarks = inputs[chosen, : self.encoder.dimensions].astype(np.float32)
        width = len(chosen) or self.encoder.dimensions
        mapping = _nystrom(self._landmarks) if len(chosen) else np.eye(width)
        columns = self._columns(inputs)
        inputs = np.hstack([columns[:, :width] @ mapping, columns[:, width:]]).astype(np.float32)
        left_out = np.zeros(targets.shape)
        for inside, outside in parts(examples.folds(FOLDS)):
            left_out[inside] = _scores(inputs[inside], self._fitted(inputs[outside], targets[outside], mapping.shape[1]))
        weights = self._fitted(inputs, targets, mapping.shape[1])
        # As they are saved, so that a loaded router says the same.
        self._weights = np.vstack([mapping @ weights[: mapping.shape[1]], weights[mapping.shape[1] :]]).astype(np.float32)
        return np.arange(len(targets)), left_out

    def _fitted(self, inputs: Floats | Vectors, targets: Floats, plain: int) -> Floats:
        """Shape (columns + 1, labels), the intercepts last. The columns after the first `plain` ones are scaled."""
        from sklearn.linear_model import LogisticRegression

        rows, labels, weights = as_single(targets, class_weights(targets) if self.balanced else np.ones(targets.shape[1]))
        found = np.zeros((inputs.shape[1] + 1, targets.shape[1]))
        found[-1] = UNSEEN
        if len(np.unique(labels)) == 1:
            found[-1, labels[0]] = 0.0
            return found
        # Not the embeddings: their own scale means something.
        mean, scale = np.zeros(inputs.shape[1], np.float32), np.ones(inputs.shape[1], np.float32)
        mean[plain:], scale[plain:] = inputs[:, plain:].mean(axis=0), inputs[:, plain:].std(axis=0) + 1e-9
        model = LogisticRegression(C=self.strength, max_iter=2000).fit(((inputs - mean) / scale)[rows], labels, sample_weight=weights)
        coefficients, intercepts = _every_class(model.coef_, model.intercept_)
        found[:-1, model.classes_] = coefficients.T / scale[:, None]
        found[-1, model.classes_] = intercepts - (mean / scale) @ coefficients.T
        return found

    def save(self, folder: Path) -> None:
        """See `Router.save`."""
        about = self._about(self.encoder, strength=self.strength, landmarks=self.landmarks)
        write_router(folder, about, {"weights": self._weights, "landmarks": self._landmarks})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, *, features: Features | None = None) -> Self:
        """Open a saved router. Raises IndexFault when it is missing, broken, or of another encoder."""
        about, arrays = read_router(folder, cls.kind, encoder.fingerprint)
        try:
            router = cls(encoder, features=features, **about["settings"])
            router._restore(about)
            router._landmarks, router._weights = arrays["landmarks"], arrays["weights"]
        except (ValueError, KeyError, TypeError) as error:
            raise broken(folder, cls.kind, error) from None
        return router


def _scores(inputs: Floats | Vectors, weights: Floats | Vectors) -> Floats:
    found: Floats = (inputs @ weights[:-1]).astype(np.float64) + weights[-1]
    return found


def _every_class(coefficients: Floats, intercepts: Floats) -> tuple[Floats, Floats]:
    """Of two classes scikit-learn keeps one row, the log-odds of the second: half to each."""
    if len(coefficients) > 1:
        return coefficients, intercepts
    return np.vstack([-coefficients, coefficients]) / 2, np.r_[-intercepts, intercepts] / 2


def _nystrom(landmarks: Vectors) -> Floats:
    """The map from likeness to the landmarks, (n, m), to columns whose products are the likeness of two texts; shape (m, rank)."""
    from scipy.linalg import eigh

    values, vectors = eigh(kernel(landmarks @ landmarks.T, SHARPNESS).astype(np.float64))
    kept = values > SMALLEST
    found: Floats = vectors[:, kept] / np.sqrt(values[kept])
    return found
