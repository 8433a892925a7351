"""From scores to probabilities that mean what they say, learnt from examples that the router has not seen.

Three methods, the fewest numbers first: temperature (one factor before the softmax; Guo et al., 2017), Platt (a logistic curve for each
label; Platt, 1999) and isotonic (a rising staircase for each label; Zadrozny and Elkan, 2002). The last two judge each label against the
rest and are normalised. The method with the least cross-entropy on left-out folds is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METHODS = ("temperature", "platt", "isotonic")
FOLDS = 5
FEWEST_ROWS = 100
"""Per label. Below, one number is all that can be learnt: curves would follow chance."""
FLOOR = 1e-4
"""No probability is 0 or 1: a staircase fitted on finite data cannot know."""
APART = 100.0
"""More than the log-odds of `against_the_rest` range over."""


@dataclass(frozen=True)
class Calibration:
    """Turns scores (unnormalised log-probabilities) into probabilities.

    temperature: factor of the scores. curves: for each label, (slope, offset) of Platt's curve or the staircase's (scores, probabilities).
    """

    method: str = "temperature"
    temperature: float = 1.0
    curves: list[list[list[float]]] = field(default_factory=list)

    def probabilities(self, scores: Floats) -> Floats:
        """Shape (n, labels) as `scores`; rows sum to 1."""
        if self.method == "temperature":
            return softmax(self.temperature * scores)
        odds = against_the_rest(scores)
        found = np.maximum(self._platt(odds) if self.method == "platt" else self._isotonic(odds), FLOOR)
        whole: Floats = found / found.sum(axis=1, keepdims=True)
        return whole

    def _platt(self, odds: Floats) -> Floats:
        slopes, offsets = self._lines
        found: Floats = 1 / (1 + np.exp(-np.clip(odds * slopes + offsets, -30, 30)))
        return found

    def _isotonic(self, odds: Floats) -> Floats:
        first, last, steps, heights = self._stairs
        found: Floats = np.interp(np.clip(odds, first, last) + APART * np.arange(len(first)), steps, heights)
        return found

    @cached_property
    def _lines(self) -> Floats:
        """Slopes and offsets, shape (2, labels)."""
        return np.array(self.curves)[:, 0].T

    @cached_property
    def _stairs(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Where each label's staircase begins and ends, (labels,); all of them end to end, APART from each other: scores, probabilities."""
        steps = [np.array(curve[0]) for curve in self.curves]
        beside = np.concatenate([own + APART * n for n, own in enumerate(steps)])
        first, last = (np.array([own[at] for own in steps]) for at in (0, -1))
        return first, last, beside, np.concatenate([curve[1] for curve in self.curves])

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """The inverse of `as_dict`. Raises ValueError for a method that is not known."""
        found = cls(**data)
        if found.method not in METHODS:
            raise ValueError(f"{found.method!r} is no method of calibration")
        return found


def fit_calibration(scores: Floats, targets: Floats, weights: Floats | None = None) -> Calibration:
    """The best calibration for `scores`, shape (n, labels), of examples that were not learnt from.

    `targets`: as `scores`, rows sum to 1, the share of each label. `weights`: what each row counts, 1 by default.
    Raises InputError for no rows.
    """
    if not len(scores):
        raise InputError("Expected held-out examples to calibrate on; got no rows.")
    weights = np.ones(len(scores)) if weights is None else weights
    if len(scores) < FEWEST_ROWS * scores.shape[1]:
        return _temperature(scores, targets, weights)
    fold = np.random.default_rng(0).permutation(len(scores)) % FOLDS

    def left_out_loss(method: str) -> float:
        losses = []
        for n in range(FOLDS):
            inside, outside = fold == n, fold != n
            found = FITS[method](scores[outside], targets[outside], weights[outside])
            losses.append(log_loss(found.probabilities(scores[inside]), targets[inside], weights[inside]))
        return float(np.mean(losses))

    best = min(METHODS, key=left_out_loss)
    return FITS[best](scores, targets, weights)


def softmax(scores: Floats) -> Floats:
    """Along the rows of (n, labels)."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return found


def against_the_rest(scores: Floats) -> Floats:
    """The log-odds of each label against all others together, shape (n, labels)."""
    p = np.clip(softmax(scores), 1e-12, 1 - 1e-12)
    found: Floats = np.log(p) - np.log1p(-p)
    return found


def log_loss(probabilities: Floats, targets: Floats, weights: Floats) -> float:
    """Weighted mean cross-entropy, in nats."""
    each = -(targets * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1)
    return float(np.average(each, weights=weights))


def _temperature(scores: Floats, targets: Floats, weights: Floats) -> Calibration:
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return log_loss(softmax(float(np.exp(log_temperature)) * scores), targets, weights)

    return Calibration(temperature=float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x)))


def _platt(scores: Floats, targets: Floats, weights: Floats) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    odds, curves = against_the_rest(scores), []
    for n in range(scores.shape[1]):
        share = targets[:, n]
        if not 0 < share.sum() < len(share):
            curves.append([[1.0, 0.0]])
            continue
        rows = np.r_[odds[:, n], odds[:, n]][:, None]
        labels = np.r_[np.ones(len(share)), np.zeros(len(share))]
        model = LogisticRegression(C=100.0).fit(rows, labels, sample_weight=np.r_[share * weights, (1 - share) * weights])
        curves.append([[float(model.coef_[0, 0]), float(model.intercept_[0])]])
    return Calibration("platt", curves=curves)


def _isotonic(scores: Floats, targets: Floats, weights: Floats) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    odds, curves = against_the_rest(scores), []
    for n in range(scores.shape[1]):
        model = IsotonicRegression(y_min=0.0, y_max=1.0).fit(odds[:, n], targets[:, n], sample_weight=weights)
        curves.append([model.X_thresholds_.tolist(), model.y_thresholds_.tolist()])
    return Calibration("isotonic", curves=curves)


FITS = {"temperature": _temperature, "platt": _platt, "isotonic": _isotonic}
