"""What every router can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from core.types import Neighbour


class Router(Protocol):
    """Scikit-learn's verbs over texts. Scores and decision stay apart: the policy decides."""

    kind: str
    labels: list[str]

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Learn from labelled examples. Raises InputError for fewer than two labels or no rows."""

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (len(texts), len(labels)), rows sum to 1."""

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """The `k` examples that lie nearest, best first; empty where a router keeps none."""

    def save(self, folder: Path) -> None:
        """Write the router, whole or not at all, without pickle."""
