"""Fit the reader's sentence ranking on the experts' `train` questions.

A sentence among the retrieved passages is right when it stands in the question's document and holds the key fact. Logistic regression with
balanced classes, its strength chosen on `dev` by how often the key fact is in the answer's first three sentences.
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

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
TAKEN = 3


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
    """The best weights, and {strength, train, dev}: the share of cases with a right sentence among the first three."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, right = np.concatenate([c.features for c in train]), np.concatenate([c.right for c in train])
    scaler = StandardScaler().fit(features)
    best: tuple[float, Weights, float] | None = None
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=5000).fit(scaler.transform(features), right)
        coefficients = model.coef_[0] / scaler.scale_
        weights = Weights(tuple(coefficients.tolist()), float(model.intercept_[0] - (coefficients * scaler.mean_).sum()))
        score = hit_rate(weights, dev)
        if best is None or score > best[0]:
            best = (score, weights, strength)
    assert best is not None
    score, weights, strength = best
    return weights, {"strength": strength, "train": hit_rate(weights, train), "dev": score}


def hit_rate(weights: Weights, rows: list[Case]) -> float:
    """Share of cases in [0, 1] with a right sentence among the first three."""
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
