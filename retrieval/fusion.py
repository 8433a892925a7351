"""Dense and lexical scores as one ranking: the sum of z-scores, weighted per index.

Which part deserves more weight depends on the corpus, so the weight is chosen on the index's own questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
GRID = tuple(round(0.1 * i, 1) for i in range(11))
DEFAULT_WEIGHT = 0.5


def standardise(scores: Floats) -> Floats:
    """Zero mean and unit variance; all zeros when the scores do not differ."""
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 1e-9 else np.zeros_like(scores)


def fuse(dense: Floats, lexical: Floats, weight: float) -> Floats:
    """`weight` (in [0, 1]) of the standardised dense scores plus the rest of the lexical ones, same shape."""
    return weight * standardise(dense) + (1 - weight) * standardise(lexical)


def choose_weight(rank_of_right: Callable[[int, float], int | None], questions: Sequence[int]) -> float:
    """The weight on the grid with the best mean reciprocal rank among those whose R@5 is within half a point of the best.

    rank_of_right(question, weight) gives the 1-based rank of the right passage, or None. Ties go to the weight nearest the middle.
    """
    if not questions:
        return DEFAULT_WEIGHT
    table = []
    for weight in GRID:
        ranks = [rank_of_right(q, weight) for q in questions]
        r5 = float(np.mean([r is not None and r <= 5 for r in ranks]))
        mrr = float(np.mean([1 / r if r else 0.0 for r in ranks]))
        table.append((weight, r5, mrr))
    best = max(r5 for _, r5, _ in table)
    allowed = [row for row in table if row[1] >= best - 0.005]
    return max(allowed, key=lambda row: (round(row[2], 4), -abs(row[0] - DEFAULT_WEIGHT)))[0]
