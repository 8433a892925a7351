"""Metrics: pure functions of numbers and texts. A rate is in [0, 1]; what is not defined (no rows of that kind) is None, never NaN."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.int64]
Statistic = Callable[[Rows], float | None]
"""A metric of some of a suite's rows, given by their numbers."""
Statistics = Callable[[Rows], Mapping[str, float | None]]
"""Several metrics of the same rows, by name."""

BINS = 15
RESAMPLES = 1000


def mean(values: Sequence[float] | Floats | NDArray[np.bool_]) -> float | None:
    """The mean, or None of nothing."""
    return float(np.mean(values)) if len(values) else None


def mean_defined(values: Iterable[float | None]) -> float | None:
    """The mean of those that are defined, or None."""
    return mean([value for value in values if value is not None])


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
    """At most `bins` bins of equal mass (sizes differ by one at most), from the least to the most confident rows.

    Rows that are equally confident and fall into several bins are all as right as they are on average, whatever their order.
    """
    _, tied, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    shares = (np.bincount(tied, weights=right) / sizes)[tied]
    parts = [part for part in np.array_split(np.argsort(confidence), bins) if len(part)]
    return [Bin(float(confidence[p].mean()), float(shares[p].mean()), len(p)) for p in parts]


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


@dataclass(frozen=True, slots=True)
class Curve:
    """Cost and quality of two models when rows go to the superior one in order of need (RouteLLM, Ong et al. 2024).

    strong_share: share of the rows sent to the superior model, rising from 0 to 1. quality: mean score of all rows then. Between its
    points the curve is straight: that is what drawing lots among rows of equal need gives on average, so the order of the file is of no
    account, and equal need everywhere is the random router.
    """

    strong_share: Floats
    quality: Floats

    @property
    def recovered(self) -> Floats | None:
        """PGR, performance gap recovered: (quality - weak) / (strong - weak), 0 with nothing sent, 1 with all; None without a gap."""
        weak, strong = self.quality[0], self.quality[-1]
        return (self.quality - weak) / (strong - weak) if strong > weak else None


def cost_quality(needed: Floats, weak: Floats, strong: Floats) -> Curve:
    """The curve of sending rows to the superior model, highest `needed` first. `weak`, `strong`: the models' scores, one a row."""
    order = np.argsort(-needed)
    last = np.append(np.diff(needed[order]) != 0, True)
    sent, gained = np.arange(1, len(needed) + 1)[last], np.cumsum((strong - weak)[order])[last]
    return Curve(np.append(0.0, sent / len(needed)), float(weak.mean()) + np.append(0.0, gained / len(needed)))


def mean_curve(curves: Sequence[Curve], weights: Sequence[int]) -> Curve:
    """One curve of several folds: the mean quality when each of them sends the same share (vertical averaging; Fawcett, 2006).

    Averaging first keeps apgr a ratio of means. A mean of the folds' own ratios is biased upwards where folds are small: one of them with
    hardly any gap outweighs the rest.
    """
    if len(curves) == 1:
        return curves[0]
    shares = np.linspace(0, 1, 1001)
    return Curve(shares, np.average([np.interp(shares, c.strong_share, c.quality) for c in curves], axis=0, weights=weights))


def apgr(curve: Curve) -> float | None:
    """Average performance gap recovered: the area under PGR over the share of superior calls from 0 to 1 (RouteLLM).

    The random router has 0.5; above 1 and below 0 are possible. RouteLLM takes the mean at ten thresholds, this is the whole area. None
    where the superior model is not better.
    """
    return None if (found := curve.recovered) is None else float(np.trapezoid(found, curve.strong_share))


def cpt(curve: Curve, recovered: float) -> float | None:
    """Call-performance threshold: the smallest share of superior calls at which PGR reaches `recovered`, in (0, 1] (RouteLLM's CPT(50%)).

    Lower is better. None where the superior model is not better.
    """
    if (found := curve.recovered) is None:
        return None
    after = int(np.argmax(found >= recovered))
    ends = slice(after - 1, after + 1)
    return float(np.interp(recovered, found[ends], curve.strong_share[ends]))


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Selective prediction. coverage: share of the rows that is kept, most confident first; risk: share of the kept ones that is wrong."""

    coverage: Floats
    risk: Floats


def risk_coverage(confidence: Floats, right: NDArray[np.bool_]) -> RiskCoverage:
    """Risk after each distinct confidence, falling (El-Yaniv & Wiener, 2010); rows of equal confidence are kept together."""
    order = np.argsort(-confidence)
    last = np.append(np.diff(confidence[order]) != 0, True)
    kept, wrong = np.arange(1, len(order) + 1)[last], np.cumsum(~right[order])[last]
    return RiskCoverage(kept / len(order), wrong / kept)


def risk_at(curve: RiskCoverage, coverage: float) -> float:
    """Share of wrong rows among the most confident `coverage` of all, lots drawn among equals."""
    wrong = np.interp(coverage, np.append(0.0, curve.coverage), np.append(0.0, curve.risk * curve.coverage))
    return float(wrong / coverage)


def bootstrap(statistic: Statistic, n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float] | None:
    """The 95% percentile interval of a metric over `n` rows drawn with replacement, always the same for the same seed."""
    return bootstrap_all(lambda rows: {"": statistic(rows)}, n, resamples=resamples, seed=seed).get("")


def bootstrap_all(statistics: Statistics, n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The same of several metrics at once, over the same draws; one that is never defined is left out."""
    rng = np.random.default_rng(seed)
    drawn = [statistics(rng.integers(0, n, n)) for _ in range(resamples)] if n else []
    found = {name: [v for values in drawn if (v := values[name]) is not None] for name in (drawn[0] if drawn else ())}
    ends = {name: np.percentile(values, [2.5, 97.5]) for name, values in found.items() if values}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
