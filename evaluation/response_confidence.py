"""P(the response is acceptable | prompt, response), from recorded answers that were judged right or wrong: of any models, without passages.

Answers of Switchyard's own have passages, and the confidence of `graph.confidence`; the two share `graph.response_signals`. Here their
worth is measured on other people's judged answers.

L2-regularised logistic regression over these signals and the leading principal components of the embeddings of prompt and response: what
is asked and what is said. Calibrated by itself: the penalty is strong, and the classes keep their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from core.errors import InputError
from evaluation.metrics import Floats
from graph.response_signals import Responded, response_signals
from retrieval.encoder import Encoder

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

COMPONENTS = 8
STRENGTH = 0.03
"""Inverse of the penalty on standardised signals; chosen by cross-validation over GSM8K and TruthfulQA answers."""


class ResponseConfidence:
    """Scikit-learn's verbs over `Responded` rows."""

    _model: Pipeline
    _centre: Floats
    _axes: Floats

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.signals: list[str] = []

    def fit(self, rows: Sequence[Responded], correct: Sequence[bool]) -> Self:
        """Learn from judged responses. Signals that some rows lack (log-probabilities) are left out.

        Raises InputError for too few rows, or when all are right or all wrong.
        """
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        right = np.asarray(correct, bool)
        if len(rows) < 2 or right.all() or not right.any():
            raise InputError(f"Expected judged responses, right ones and wrong ones; got {right.sum()} right of {len(rows)}. Add rows.")
        found = [response_signals(row.prompt, row.response, row.token_logprobs) for row in rows]
        self.signals = [name for name in found[0] if all(name in signals for signals in found)]
        meaning = self._embed(rows)
        self._centre = meaning.mean(axis=1, keepdims=True)
        self._axes = np.stack([np.linalg.svd(part, full_matrices=False)[2][:COMPONENTS].T for part in meaning - self._centre])
        # A signal that a later row lacks speaks neither for nor against: it is set to the mean, which is 0 once standardised.
        absent = SimpleImputer(strategy="constant", fill_value=0.0)
        self._model = make_pipeline(StandardScaler(), absent, LogisticRegression(C=STRENGTH, max_iter=2000))
        self._model.fit(self._features(rows), right)
        return self

    def predict_proba(self, rows: Sequence[Responded]) -> Floats:
        """P(acceptable) of each row, shape (n,), in (0, 1)."""
        probabilities: Floats = self._model.predict_proba(self._features(rows))[:, 1]
        return probabilities

    def _features(self, rows: Sequence[Responded]) -> Floats:
        found = [response_signals(row.prompt, row.response, row.token_logprobs) for row in rows]
        named = np.array([[signals.get(name, np.nan) for name in self.signals] for signals in found])
        prompts, responses = (self._embed(rows) - self._centre) @ self._axes
        return np.hstack([named, prompts, responses])

    def _embed(self, rows: Sequence[Responded]) -> Floats:
        """Vectors of the prompts and of the responses, shape (2, n, dimensions)."""
        texts = [row.prompt for row in rows], [row.response for row in rows]
        return np.stack([self.encoder.encode(part) for part in texts]).astype(np.float64)
