"""What trained routers share: scores, and a calibration of them that was learnt on held-out examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from core.errors import InputError
from core.types import OUT_OF_SCOPE, Neighbour
from graph.routers.base import Examples, class_weights
from graph.routers.calibration import Calibration, Floats, Ints, fit_calibration
from graph.routers.saved import data_hash
from retrieval.encoder import Encoder

Features = Callable[[Sequence[str]], Floats]
"""Further columns beside the embedding, shape (len(texts), columns)."""
SHOWN = 8


class ScoredRouter(ABC):
    """A router that gives each label a score (an unnormalised log-probability) and learns on held-out data what the scores are worth.

    `balanced`: classes weigh the same whatever their number of examples, so that the prior of the training data does not decide; without
    it the probabilities are those of data mixed like the training data. `seed`: of whatever is drawn at random.
    """

    kind: str

    def __init__(self, *, balanced: bool = True, seed: int = 0) -> None:
        self.balanced = balanced
        self.seed = seed
        self.labels: list[str] = []
        self._data = ""
        self.calibration = Calibration()

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.fit`. The calibration comes from examples that were left out in turn."""
        examples = Examples.of(texts, labels)
        self.labels = examples.labels
        self.calibration = Calibration()
        self._data = data_hash(examples.texts, ["+".join(own) for own in examples.own])
        rows, scores = self._learn(examples)
        self.calibration = self._calibration(scores, examples.targets[rows])
        return self

    def calibrate(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """See `Router.calibrate`. Raises InputError for a label that was not learnt."""
        self.calibration = self._held_out(self.scores, texts, labels)
        return self

    def _held_out(self, scores: Callable[[Sequence[str]], Floats], texts: Sequence[str], labels: Sequence[str]) -> Calibration:
        """What `scores` are worth on these texts. Raises InputError, see `calibrate`."""
        if unknown := sorted(set(labels) - set(self.labels)):
            known = ", ".join(self.labels[:SHOWN]) + (" ..." if len(self.labels) > SHOWN else "")
            raise InputError(f"Held-out examples have the label {unknown[0]!r}, which the training examples lack. Known: {known}.")
        # Not Examples.of: one label alone is enough to measure on.
        rows = [(text, self.labels.index(label)) for text, label in dict.fromkeys(zip(texts, labels, strict=True))]
        if not rows:
            raise InputError("Expected held-out examples to calibrate on; got no rows.")
        return self._calibration(scores([text for text, _ in rows]), np.eye(len(self.labels))[[n for _, n in rows]])

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.predict_proba`."""
        return self.calibration.probabilities(self.scores(texts))

    def left_out_proba(self, texts: Sequence[str]) -> Floats:
        """See `Router.left_out_proba`: nothing is kept that would allow it, so as `predict_proba`."""
        return self.predict_proba(texts)

    def familiarity(self, texts: Sequence[str]) -> Floats:
        """See `Router.familiarity`: the log-sum of the scores of all labels of experts (the energy score; Liu et al., 2020)."""
        inside = [n for n, label in enumerate(self.labels) if label != OUT_OF_SCOPE]
        found: Floats = np.asarray(np.logaddexp.reduce(self.scores(texts)[:, inside], axis=1))
        return found

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """See `Router.nearest`: none are kept."""
        return []

    def _calibration(self, scores: Floats, targets: Floats) -> Calibration:
        weights = (targets * class_weights(targets)).sum(axis=1) if self.balanced else np.ones(len(targets))
        return fit_calibration(scores, targets, weights)

    @abstractmethod
    def _learn(self, examples: Examples) -> tuple[Ints, Floats]:
        """Learn, and return (rows, scores) of the examples that were left out, or left out in turn."""

    @abstractmethod
    def scores(self, texts: Sequence[str]) -> Floats:
        """Unnormalised log-probabilities, shape (len(texts), len(labels))."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """See `Router.save`."""

    def _about(self, encoder: Encoder, **settings: Any) -> dict[str, Any]:
        """What every saved router says of itself. `settings`: keywords of the constructor."""
        return {
            "kind": self.kind,
            "encoder": encoder.fingerprint,
            "labels": self.labels,
            "settings": {"balanced": self.balanced, "seed": self.seed, **settings},
            "data": self._data,
            "calibration": self.calibration.as_dict(),
        }

    def _restore(self, about: Mapping[str, Any]) -> None:
        """The inverse of `_about`, but for the settings."""
        self.labels, self._data = about["labels"], about["data"]
        self.calibration = Calibration.from_dict(about["calibration"])


class EmbeddedRouter(ScoredRouter):
    """A scored router over the texts' embeddings. `features`: further columns beside them, for whoever knows more of the text."""

    def __init__(self, encoder: Encoder, *, features: Features | None = None, balanced: bool = True, seed: int = 0) -> None:
        super().__init__(balanced=balanced, seed=seed)
        self.encoder = encoder
        self.features = features

    def inputs(self, texts: Sequence[str]) -> Floats:
        """The embeddings and then the features, shape (len(texts), dimensions + columns)."""
        vectors = self.encoder.encode(texts).astype(np.float64)
        return np.hstack([vectors, self.features(texts)]) if self.features and texts else vectors
