"""Fit the reader's sentence ranking on the experts' `train` questions.

A sentence among the retrieved passages is right when it stands in the question's document and holds the key fact. The ranking is fitted
listwise (Cao et al.: Learning to Rank, 2007): the right sentences' share of a softmax over all the question's sentences, its penalty chosen
on `dev` by how often a right sentence is among the first four. A logistic regression on its score makes it a probability (Platt, 1999).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experts.discovery import Expert, Item
from retrieval.encoder import Encoder
from retrieval.index import Index
from retrieval.reader import FEATURES, Weights, sentence_features, split_passages
from retrieval.text import contains_key

PENALTIES = (0.0001, 0.001, 0.01, 0.03)
TAKEN = 4
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """One question's sentences: features (n, len(FEATURES)), and which of them are right."""

    features: NDArray[np.float64]
    right: NDArray[np.bool_]


def cases(expert: Expert, index: Index, encoder: Encoder, items: Iterable[Item], progress: Callable[[], None] = lambda: None) -> list[Case]:
    """The cases of the questions whose document is among the retrieved passages."""
    found = []
    for item in items:
        hits = index.search(item.question, encoder.encode([item.question])[0], expert.card.passages)
        passages = [hit.as_dict() for hit in hits]
        split = split_passages(passages)
        right = np.array([hits[n].passage.document == item.document and contains_key(text, item.key) for n, _, text in split])
        if right.any():
            found.append(Case(sentence_features(item.question, passages, split, encoder), right))
        progress()
    return found


def fit(train: list[Case], dev: list[Case]) -> tuple[Weights, dict[str, float]]:
    """The best weights, and {penalty, train, dev}: the share of cases with a right sentence among the first four."""
    tried = [(penalty, _fit(train, penalty)) for penalty in PENALTIES]
    penalty, weights = max(tried, key=lambda pair: hit_rate(pair[1], dev))
    return weights, {"penalty": penalty, "train": hit_rate(weights, train), "dev": hit_rate(weights, dev)}


def _fit(train: list[Case], penalty: float) -> Weights:
    """A softmax over each question's sentences, then scaled so that its logistic is a probability."""
    from scipy.optimize import minimize
    from sklearn.linear_model import LogisticRegression

    rows = np.concatenate([c.features for c in train])
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    lengths = np.array([len(c.right) for c in train])
    starts, right = np.cumsum([0, *lengths[:-1]]), np.concatenate([c.right for c in train])
    scaled = (rows - mean) / scale

    def loss(w: Floats) -> tuple[float, Floats]:
        z = scaled @ w
        shifted = np.exp(z - np.repeat(np.maximum.reduceat(z, starts), lengths))
        every = shifted / np.repeat(np.add.reduceat(shifted, starts), lengths)
        wanted = shifted * right / np.repeat(np.add.reduceat(shifted * right, starts), lengths)
        likelihood = np.add.reduceat(every * right, starts)
        return float(-np.log(likelihood + 1e-12).mean() + penalty * w @ w), scaled.T @ (every - wanted) / len(train) + 2 * penalty * w

    w = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x
    platt = LogisticRegression(C=1e4).fit((scaled @ w)[:, None], right)
    coefficients = platt.coef_[0, 0] * w / scale
    return Weights(tuple(coefficients.tolist()), float(platt.intercept_[0] - coefficients @ mean))


def hit_rate(weights: Weights, rows: list[Case]) -> float:
    """Share of cases in [0, 1] with a right sentence among the first four."""
    return float(np.mean([c.right[np.argsort(-weights.probabilities(c.features))[:TAKEN]].any() for c in rows])) if rows else 0.0


def write(weights: Weights, numbers: dict[str, float], data: str, path: Path) -> None:
    """Write the weights, with what they were made of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "features": FEATURES,
        "coefficients": [round(c, 6) for c in weights.coefficients],
        "intercept": round(weights.intercept, 6),
        "numbers": {k: round(v, 4) for k, v in numbers.items()},
        "data": data,
    }
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)
