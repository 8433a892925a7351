"""P(a model's answer is right | prompt), learnt from recorded scores. Fitted by scikit-learn or xgboost, served by numpy alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from graph.prompt_features import FEATURES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STRENGTH = 0.005
"""Scikit-learn's C of inputs of unit variance: a few hundred columns, each of which says little."""
TRUSTED = 0.35
"""What a dimension of an embedding counts beside a named feature."""
FAR = 4.0
"""Standard deviations from the mean beyond which an input is no further out."""
ROUNDS = 150
START = 0.5
"""The probability before the first tree: the same for every data set, so that routers of different rows differ less."""
DEPTH = 5
TREES = {
    "objective": "binary:logistic",
    "base_score": START,
    "tree_method": "hist",
    "max_depth": DEPTH,
    "eta": 0.03,
    "subsample": 0.6,
    "colsample_bytree": 0.3,
    "min_child_weight": 10,
    "lambda": 5.0,
    "nthread": 1,
}


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Logistic regression on standardised inputs: the prompt's features, then its embedding.

    mean, scale, weights: shape (columns,); bias: shape ().
    """

    mean: Floats
    scale: Floats
    weights: Floats
    bias: Floats

    def probabilities(self, inputs: Floats) -> Floats:
        """Of inputs (n, columns), shape (n,)."""
        return sigmoid(np.clip((inputs - self.mean) / self.scale, -FAR, FAR) @ self.weights + self.bias)

    @classmethod
    def fit(cls, inputs: Floats, right: Floats, seed: int) -> Self:
        """`right`: scores in [0, 1], shape (n,). Nothing is drawn, so `seed` is of no account."""
        from sklearn.linear_model import LogisticRegression

        mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
        scale[scale < 1e-9] = 1.0
        scale[len(FEATURES) :] /= TRUSTED
        # A score between 0 and 1 is a row of both outcomes, weighed by how much of each.
        rows = np.r_[np.flatnonzero(right > 0), np.flatnonzero(right < 1)]
        outcome = np.r_[np.ones(int((right > 0).sum())), np.zeros(int((right < 1).sum()))]
        if len(np.unique(outcome)) < 2:
            return cls(mean, scale, np.zeros(inputs.shape[1]), np.array(logit(float(right.mean()))))
        share = np.where(outcome == 1, right[rows], 1 - right[rows])
        standard = np.clip((inputs - mean) / scale, -FAR, FAR)
        model = LogisticRegression(C=STRENGTH, max_iter=500).fit(standard[rows], outcome, sample_weight=share)
        return cls(mean, scale, model.coef_[0], model.intercept_[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything there is to save."""
        return {name: np.asarray(value, np.float32) for name, value in asdict(self).items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`. Raises KeyError, ValueError."""
        return cls(**{name: np.asarray(arrays[name], np.float64) for name in ("mean", "scale", "weights", "bias")})


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Gradient-boosted trees (Chen, Guestrin: XGBoost, 2016) as arrays of shape (trees, nodes); a leaf is its own child.

    At a node, an input below `threshold` goes to `left`. value: of leaves, added up; bias: shape ().
    """

    column: Ints
    threshold: NDArray[np.float32]
    left: Ints
    right: Ints
    value: Floats
    bias: Floats

    def probabilities(self, inputs: Floats) -> Floats:
        """Of inputs (n, columns), shape (n,)."""
        # Places in the flat arrays: to take by them costs a third of two indices.
        single = inputs.astype(np.float32)
        rows, roots = np.arange(len(single))[:, None] * single.shape[1], np.arange(len(self.column)) * self.column.shape[1]
        node = np.broadcast_to(roots, (len(single), len(roots)))
        for _ in range(DEPTH):
            below = single.take(rows + self.column.take(node)) < self.threshold.take(node)
            node = roots + np.where(below, self.left.take(node), self.right.take(node))
        return sigmoid(self.value.take(node).sum(axis=1) + self.bias)

    @classmethod
    def fit(cls, inputs: Floats, right: Floats, seed: int) -> Self:
        """See `Linear.fit`. Raises InputError without xgboost."""
        xgboost = _xgboost()
        booster = xgboost.train(TREES | {"seed": seed}, xgboost.DMatrix(inputs, right), ROUNDS)
        trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
        shape = len(trees), max(len(tree["left_children"]) for tree in trees)
        column, below, other = (np.zeros(shape, np.int64) for _ in range(3))
        threshold: NDArray[np.float32] = np.zeros(shape, np.float32)
        value: Floats = np.zeros(shape, np.float64)
        for n, tree in enumerate(trees):
            size = len(tree["left_children"])
            leaf = np.array(tree["left_children"]) < 0
            column[n, :size] = tree["split_indices"]
            below[n, :size] = np.where(leaf, np.arange(size), tree["left_children"])
            other[n, :size] = np.where(leaf, np.arange(size), tree["right_children"])
            threshold[n, :size] = tree["split_conditions"]
            # xgboost keeps a leaf's value where a node has its threshold.
            value[n, :size] = np.where(leaf, tree["split_conditions"], 0.0)
        return cls(column, threshold, below, other, value, np.array(logit(START)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See `Linear.arrays`."""
        small = {name: np.asarray(getattr(self, name), np.int16) for name in ("column", "left", "right")}
        return small | {name: np.asarray(getattr(self, name), np.float32) for name in ("threshold", "value", "bias")}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Linear.of`."""
        column, left, right = (np.asarray(arrays[name], np.int64) for name in ("column", "left", "right"))
        value, bias = (np.asarray(arrays[name], np.float64) for name in ("value", "bias"))
        return cls(column, np.asarray(arrays["threshold"], np.float32), left, right, value, bias)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return found


def logit(p: float) -> float:
    """The inverse of `sigmoid`, of p kept within [0.001, 0.999]."""
    p = min(max(p, 0.001), 0.999)
    return float(np.log(p / (1 - p)))


def _xgboost() -> ModuleType:
    try:
        import xgboost
    except ImportError:
        raise InputError(
            "The difficulty router xgboost needs a package to learn with that is not installed. "
            "Run: pip install 'switchyard[xgboost]', or choose --kind logistic"
        ) from None
    module: ModuleType = xgboost
    return module
