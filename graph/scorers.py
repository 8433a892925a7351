"""What each of several models is likely to score on a prompt, learnt from what they scored on others. One class a kind.

A scorer is fitted on inputs, shape (n, columns), the prompt's features before its embedding (see `graph.recommender.inputs_of`), and on
scores in [0, 1], shape (n, models), NaN where a model was not measured. It is served by numpy alone, from arrays that hold all it learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from graph.outcomes import FAR, Floats, Ints, Linear, Trees
from graph.prompt_features import FEATURES, STRUCTURE
from graph.routers.votes import learn, tally
from retrieval.encoder import Vectors

Arrays = dict[str, NDArray[Any]]
NEAREST = 40
"""Measured instructions that speak for a prompt: fewer are led astray by chance, more forget what the prompt is about."""
CHUNK = 1_000
SHARPNESS = 2.0
RIDGE = 5.0
"""Much: which of two models is better on one prompt is mostly chance, and only what many prompts agree on is worth following."""
SHAPE = 2.0
"""What the features together count beside the embedding: how a prompt is built tells its task better than what it is about."""
_COLUMNS = [FEATURES.index(name) for name in STRUCTURE]


class Scorer(Protocol):
    """One of the classes below."""

    def predict(self, inputs: Floats) -> Floats:
        """Shape (n, models); not kept within [0, 1]."""

    @classmethod
    def fit(cls, inputs: Floats, scores: Floats, seed: int) -> Self:
        """Learn. Every model has at least one score."""

    def arrays(self) -> Arrays:
        """Everything there is to save."""

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`. Raises KeyError, ValueError."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The mean over the nearest measured prompts. vectors: (m, dimensions), scores: (m, models)."""

    vectors: Vectors
    scores: Floats

    def predict(self, inputs: Floats) -> Floats:
        """See `Scorer.predict`."""
        return near_mean(inputs[:, len(FEATURES) :], self.vectors, self.scores)

    @classmethod
    def fit(cls, inputs: Floats, scores: Floats, seed: int) -> Self:
        """See `Scorer.fit`."""
        return cls(inputs[:, len(FEATURES) :].astype(np.float32), scores)

    def arrays(self) -> Arrays:
        """See `Scorer.arrays`."""
        return {name: np.asarray(value, np.float32) for name, value in asdict(self).items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Scorer.of`."""
        return cls(np.asarray(arrays["vectors"], np.float32), np.asarray(arrays["scores"], np.float64))


def near_mean(vectors: Floats | Vectors, measured: Vectors, values: Floats) -> Floats:
    """Mean of `values`, (m, columns), over the NEAREST of the `measured` vectors, (m, dimensions), that have one; shape (n, columns).

    NaN only where a column has no value at all.
    """
    found = np.full((len(vectors), values.shape[1]), np.nan)
    cosines = vectors.astype(np.float32) @ measured.T
    # Columns of one mask, which are mostly all of them, share their neighbours.
    for known, columns in by_mask(values):
        if not len(known):
            continue
        count = min(NEAREST, len(known))
        for start in range(0, len(vectors), CHUNK):
            near = np.argpartition(-cosines[start : start + CHUNK][:, known], count - 1, axis=1)[:, :count]
            found[start : start + CHUNK, columns] = values[known[near]][:, :, columns].mean(axis=1)
    return found


def by_mask(values: Floats) -> list[tuple[Ints, Ints]]:
    """(rows, columns) of the columns that have a value in exactly these rows."""
    groups: dict[bytes, list[int]] = {}
    there = np.isfinite(values)
    for column in range(values.shape[1]):
        groups.setdefault(there[:, column].tobytes(), []).append(column)
    return [(np.flatnonzero(there[:, columns[0]]), np.array(columns)) for columns in groups.values()]


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """Ridge regression on how alike two prompts are in features and embedding (see `graph.routers.votes`), about each model's mean.

    mean, scale: (features,); anchors: (m, columns), rows of unit length; votes: (m, models); base: (models,).
    """

    mean: Floats
    scale: Floats
    anchors: Vectors
    votes: Vectors
    base: Floats

    def predict(self, inputs: Floats) -> Floats:
        """See `Scorer.predict`."""
        return tally("kernel", _unit(inputs, self.mean, self.scale) @ self.anchors.T, self.votes, SHARPNESS) + self.base

    @classmethod
    def fit(cls, inputs: Floats, scores: Floats, seed: int) -> Self:
        """See `Scorer.fit`."""
        features = inputs[:, : len(FEATURES)]
        mean, scale = features.mean(axis=0), features.std(axis=0)
        scale[scale < 1e-9] = 1.0
        anchors, base = _unit(inputs, mean, scale), np.nanmean(scores, axis=0)
        votes: Vectors = np.zeros(scores.shape, np.float32)
        for known, columns in by_mask(scores):
            targets = scores[np.ix_(known, columns)] - base[columns]
            votes[np.ix_(known, columns)] = learn("kernel", anchors[known], targets, np.ones(len(known)), SHARPNESS, RIDGE).votes
        return cls(mean, scale, anchors, votes, base)

    def arrays(self) -> Arrays:
        """See `Scorer.arrays`."""
        return {name: np.asarray(value, np.float32) for name, value in asdict(self).items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Scorer.of`."""
        mean, scale, base = (np.asarray(arrays[name], np.float64) for name in ("mean", "scale", "base"))
        return cls(mean, scale, np.asarray(arrays["anchors"], np.float32), np.asarray(arrays["votes"], np.float32), base)


def _unit(inputs: Floats, mean: Floats, scale: Floats) -> Vectors:
    """Features of unit variance, weighed by SHAPE, beside the embedding; rows of unit length."""
    width = len(FEATURES)
    features = np.clip((inputs[:, :width] - mean) / scale, -FAR, FAR) * (SHAPE / np.sqrt(width))
    both = np.hstack([features, inputs[:, width:]])
    unit: Vectors = (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float32)
    return unit


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """Logistic regression for each model by itself; see `graph.outcomes.Linear`."""

    models: list[Linear]

    def predict(self, inputs: Floats) -> Floats:
        """See `Scorer.predict`."""
        return np.stack([model.probabilities(inputs) for model in self.models], axis=1)

    @classmethod
    def fit(cls, inputs: Floats, scores: Floats, seed: int) -> Self:
        """See `Scorer.fit`."""
        return cls([Linear.fit(inputs[known], own[known], seed) for own in scores.T for known in (np.isfinite(own),)])

    def arrays(self) -> Arrays:
        """See `Scorer.arrays`."""
        return _numbered(self.models)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Scorer.of`."""
        return cls([Linear.of(own) for own in _each(arrays)])


@dataclass(frozen=True, slots=True, eq=False)
class Boosted:
    """Gradient-boosted trees for each model by itself, on how the prompt is built; see `graph.outcomes.Trees`."""

    models: list[Trees]

    def predict(self, inputs: Floats) -> Floats:
        """See `Scorer.predict`."""
        return np.stack([model.probabilities(inputs[:, _COLUMNS]) for model in self.models], axis=1)

    @classmethod
    def fit(cls, inputs: Floats, scores: Floats, seed: int) -> Self:
        """See `Scorer.fit`. Raises InputError without xgboost."""
        chosen = inputs[:, _COLUMNS]
        return cls([Trees.fit(chosen[known], own[known], seed) for own in scores.T for known in (np.isfinite(own),)])

    def arrays(self) -> Arrays:
        """See `Scorer.arrays`."""
        return _numbered(self.models)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Scorer.of`."""
        return cls([Trees.of(own) for own in _each(arrays)])


def _numbered(models: Sequence[Linear | Trees]) -> Arrays:
    return {f"{n}-{name}": array for n, model in enumerate(models) for name, array in model.arrays().items()}


def _each(arrays: Mapping[str, NDArray[Any]]) -> list[Arrays]:
    """The arrays of each model, by the names that its learner knows."""
    found: dict[int, Arrays] = {}
    for name, array in arrays.items():
        number, _, own = name.partition("-")
        found.setdefault(int(number), {})[own] = array
    return [found[n] for n in range(len(found))]


SCORERS: dict[str, type[Neighbours] | type[Kernel] | type[Logistic] | type[Boosted]] = {
    "neighbours": Neighbours,
    "kernel": Kernel,
    "logistic": Logistic,
    "xgboost": Boosted,
}
