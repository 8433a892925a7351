"""P(the response is acceptable | prompt, response), from recorded answers that were judged right or wrong.

L2-regularised logistic regression over named signals (`graph.response_signals`) and the leading principal components of the embeddings of
prompt and response: what is asked and what is said. Calibrated by itself: the penalty is strong, and the classes keep their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from graph.response_signals import Responded, response_signals
from graph.routers.saved import read_router, write_router
from retrieval.encoder import Encoder

KIND = "response-confidence"
COMPONENTS = 8
STRENGTH = 0.03
"""Inverse of the penalty on standardised signals; chosen by cross-validation over GSM8K and TruthfulQA answers."""
Floats = NDArray[np.float64]


class ResponseConfidence:
    """Scikit-learn's verbs over `Responded` rows; needs only numpy and the encoder once it is fitted."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.signals: list[str] = []
        self._axes: Floats = np.zeros((0, 0))
        self._centre: Floats = np.zeros(0)
        self._mean: Floats = np.zeros(0)
        self._weights: Floats = np.zeros(0)
        self._intercept = 0.0

    def fit(self, rows: Sequence[Responded], correct: Sequence[bool]) -> Self:
        """Learn from judged responses. Signals that some rows lack (log-probabilities) are left out.

        Raises InputError for too few rows, or when all are right or all wrong.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        right = np.asarray(correct, bool)
        if len(rows) < 2 or right.all() or not right.any():
            raise InputError(f"Expected judged responses, right ones and wrong ones; got {right.sum()} right of {len(rows)}. Add rows.")
        found = [response_signals(row.prompt, row.response, row.token_logprobs) for row in rows]
        self.signals = [name for name in found[0] if all(name in signals for signals in found)]
        meaning = self._embed(rows)
        self._centre = meaning.mean(axis=1, keepdims=True)
        self._axes = np.stack([np.linalg.svd(part, full_matrices=False)[2][:COMPONENTS].T for part in meaning - self._centre])
        features = self._features(rows)
        scaler = StandardScaler().fit(features)
        model = LogisticRegression(C=STRENGTH, max_iter=2000).fit(scaler.transform(features), right)
        self._mean, self._weights = scaler.mean_, model.coef_[0] / scaler.scale_
        self._intercept = float(model.intercept_[0])
        return self

    def predict_proba(self, rows: Sequence[Responded]) -> Floats:
        """P(acceptable) of each row, shape (n,), in (0, 1)."""
        if not rows:
            return np.zeros(0)
        logits = self._shares(rows).sum(axis=1) + self._intercept
        probabilities: Floats = 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
        return probabilities

    def explain(self, row: Responded) -> dict[str, float]:
        """Each signal's share of the log-odds (weight x distance from the mean), largest first; `meaning` is what is asked and said."""
        shares = self._shares([row])[0]
        named = dict(zip(self.signals, map(float, shares), strict=False)) | {"meaning": float(shares[len(self.signals) :].sum())}
        return dict(sorted(named.items(), key=lambda item: -abs(item[1])))

    def _shares(self, rows: Sequence[Responded]) -> Floats:
        # A signal that a row lacks is NaN, and speaks neither for nor against.
        shares: Floats = np.nan_to_num((self._features(rows) - self._mean) * self._weights, nan=0.0)
        return shares

    def _features(self, rows: Sequence[Responded]) -> Floats:
        found = [response_signals(row.prompt, row.response, row.token_logprobs) for row in rows]
        named = np.array([[signals.get(name, np.nan) for name in self.signals] for signals in found])
        prompts, responses = (self._embed(rows) - self._centre) @ self._axes
        return np.hstack([named, prompts, responses])

    def _embed(self, rows: Sequence[Responded]) -> Floats:
        """Vectors of the prompts and of the responses, shape (2, n, dimensions)."""
        texts = [row.prompt for row in rows], [row.response for row in rows]
        return np.stack([self.encoder.encode(part) for part in texts]).astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write to `folder`, whole or not at all, without pickle."""
        about = {
            "kind": KIND,
            "encoder": self.encoder.fingerprint,
            "labels": ["wrong", "right"],
            "signals": self.signals,
            "intercept": self._intercept,
        }
        write_router(folder, about, {"axes": self._axes, "centre": self._centre, "mean": self._mean, "weights": self._weights})

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> Self:
        """Open a saved one. Raises IndexFault when it is missing, broken, or of another encoder."""
        about, arrays = read_router(folder, KIND, encoder.fingerprint)
        made = cls(encoder)
        made.signals, made._intercept = list(about["signals"]), float(about["intercept"])
        made._axes, made._centre, made._mean, made._weights = (arrays[name] for name in ("axes", "centre", "mean", "weights"))
        return made
