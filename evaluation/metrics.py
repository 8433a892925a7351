"""Metrics: pure functions of numbers and texts. A rate is in [0, 1]; what is not defined (no rows of that kind) is None, never NaN."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.int64]
Statistic = Callable[[Rows], float | None]
"""A metric of some of a suite's rows, given by their numbers."""

BINS = 15
RESAMPLES = 1000


def mean(values: Sequence[float] | Floats | NDArray[np.bool_]) -> float | None:
    """The mean, or None of nothing."""
    return float(np.mean(values)) if len(values) else None


def macro_f1(truth: Ints, predicted: Ints) -> float | None:
    """Mean F1 over the labels that occur in either; labels are numbers from 0."""
    if not len(truth):
        return None
    size = int(max(truth.max(), predicted.max())) + 1
    there, said = np.bincount(truth, minlength=size), np.bincount(predicted, minlength=size)
    both = np.bincount(truth[truth == predicted], minlength=size)
    seen = there + said > 0
    return float(np.mean(2 * both[seen] / (there + said)[seen]))


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of like confidence: how sure the system was, and how often it was right, both in [0, 1]."""

    confidence: float
    accuracy: float
    n: int


def reliability(confidence: Floats, right: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """At most `bins` bins of equal mass (sizes differ by one at most), from the least to the most confident rows."""
    # Ties are ordered by correctness, so that the order of the rows does not matter.
    order = np.lexsort((right, confidence))
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [Bin(float(confidence[p].mean()), float(right[p].mean()), len(p)) for p in parts]


def ece(confidence: Floats, right: NDArray[np.bool_], bins: int = BINS) -> float | None:
    """Expected calibration error: mean distance between confidence and accuracy over the bins of `reliability`. Lower is better."""
    if not len(confidence):
        return None
    return sum(b.n * abs(b.confidence - b.accuracy) for b in reliability(confidence, right, bins)) / len(confidence)


def auroc(positive: Floats, negative: Floats) -> float | None:
    """Probability that a positive row scores above a negative one; ties count half."""
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below, up_to = np.searchsorted(ordered, positive, "left"), np.searchsorted(ordered, positive, "right")
    return float(np.mean((below + up_to) / 2) / len(negative))


def recall_when_keeping(positive: Floats, negative: Floats, kept: float = 0.95) -> float | None:
    """Share of the positive rows above the lowest threshold that leaves at least `kept` of the negative rows at or below it."""
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    threshold = ordered[int(np.ceil(kept * len(ordered))) - 1]
    return float(np.mean(positive > threshold))


def recall_at(ranks: Floats, k: int) -> float | None:
    """Share of the questions whose right passage has a rank of `k` or better; ranks count from 1, inf is not found."""
    return mean(ranks <= k)


def mrr(ranks: Floats) -> float | None:
    """Mean reciprocal rank; see `recall_at` for ranks."""
    return mean(1 / ranks)


def ndcg(ranks: Floats, k: int) -> float | None:
    """Normalised discounted cumulative gain at `k` with one right passage a question; see `recall_at` for ranks."""
    return mean(np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0))


def squad_normalise(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation, no articles, single spaces."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(given: str, answers: Sequence[str]) -> float:
    """1 when the text is one of the answers in SQuAD's normal form, else 0."""
    return float(squad_normalise(given) in {squad_normalise(a) for a in answers})


def token_f1(given: str, answers: Sequence[str]) -> float:
    """SQuAD's F1: words shared with the nearest of the answers, in [0, 1]."""
    return max((_f1(squad_normalise(given).split(), squad_normalise(a).split()) for a in answers), default=0.0)


def _f1(given: list[str], right: list[str]) -> float:
    if not given or not right:
        return float(given == right)
    shared = sum((Counter(given) & Counter(right)).values())
    return 2 * shared / (len(given) + len(right))


def bootstrap(statistic: Statistic, n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float] | None:
    """The 95% percentile interval of a metric over `n` rows drawn with replacement, always the same for the same seed."""
    if not n:
        return None
    rng = np.random.default_rng(seed)
    values = [v for _ in range(resamples) if (v := statistic(rng.integers(0, n, n))) is not None]
    if not values:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
