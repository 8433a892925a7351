"""Recalibrate the confidence with ratings: slope and offset of its logits (Platt, 1999), held near what ships.

Two numbers, because people rate few answers, and rather the bad ones; what the confidence ranks higher, it still does. Whether the
recalibrated one is better, held-out ratings say, and the experts' dev questions, answered by the local reader: a frozen set that costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.cases import Case, cases
from evaluation.metrics import ece
from evaluation.results import Progress
from graph.confidence import AFTER, Confidence, Logistic
from graph.learnt import Recalibration, confidence_identity
from graph.services import Services
from llms.registry import load_model
from store.feedback import Feedback
from training.feedback.corrections import OWNER_VOTES, held_out
from training.feedback.gate import TOLERATED, Comparison, compare, objections

FROZEN_KINDS = ("own", "wrong-expert")
READER = "local:reader"
PRIOR = 10.0
"""How many ratings' worth slope 1 and offset 0 are held on to."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratings:
    """Rated answers, n rows. right: 1 for an acceptable one, else 0; weights: in (0, 1], a named person's capped as elsewhere."""

    ids: list[str]
    signals: list[dict[str, float]]
    right: Floats
    weights: Floats
    people: list[str | None]
    judges: NDArray[np.bool_]

    @classmethod
    def of(cls, given: Sequence[Feedback]) -> Ratings:
        """Those that say whether an answer that was measured is acceptable."""
        rated = [one for one in given if one.acceptable is not None and set(AFTER) <= set(one.features)]
        said = {owner: sum(one.owner == owner for one in rated) for owner in {one.owner for one in rated}}
        return cls(
            [one.id for one in rated],
            [one.features for one in rated],
            np.array([float(bool(one.acceptable)) for one in rated]),
            np.array([1.0 if one.owner is None else min(1.0, OWNER_VOTES / said[one.owner]) for one in rated]),
            [one.owner for one in rated],
            np.array([held_out(one.question) for one in rated], bool),
        )

    def where(self, rows: NDArray[np.bool_]) -> Ratings:
        """Some of them."""
        at = np.flatnonzero(rows).tolist()
        ids, signals, people = ([column[n] for n in at] for column in (self.ids, self.signals, self.people))
        return Ratings(ids, signals, self.right[rows], self.weights[rows], people, self.judges[rows])  # type: ignore[arg-type]


def fit(shipped: Confidence, rated: Ratings) -> Recalibration:
    """Slopes and offsets that suit the ratings. No rows leave the confidence as it ships."""
    before, after = (_platt(which, rated) for which in (shipped.before, shipped.after))
    return Recalibration(confidence_identity(shipped), before, after, rated.ids)


def _platt(of: Logistic, rated: Ratings) -> tuple[float, float]:
    from scipy.optimize import minimize

    logits = _logits(of, rated)

    def loss(values: Floats) -> float:
        slope, offset = float(np.exp(values[0])), float(values[1])
        z = slope * logits + offset
        each = np.logaddexp(0, z) - rated.right * z
        return float((rated.weights * each).sum() + PRIOR / 2 * (values**2).sum())

    log_slope, offset = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return round(float(np.exp(log_slope)), 6), round(float(offset), 6)


def _logits(of: Logistic, rated: Ratings) -> Floats:
    p = np.array([of.probability(signals) for signals in rated.signals])
    found: Floats = np.log(p) - np.log1p(-p)
    return found


def judged(services: Services, made: Recalibration, judging: Ratings, progress: Progress) -> tuple[list[Comparison], list[str]]:
    """Compare with the confidence in service; and what speaks against `made`. Nothing is answered while too few ratings judge."""
    serving, fresh = services.confidence, made.applied(services.shipped_confidence)
    before, after = (_log_likelihood(which, judging) for which in (serving, fresh))
    feedback = compare("held-out ratings", before, after, judging.weights, judging.people)
    nothing = Comparison("frozen set", 0, None, None, None)
    if found := objections(feedback, judging.people, nothing, []):
        return [feedback], found
    frozen = _calibration_error(services, serving, fresh, progress)
    if frozen.difference < -TOLERATED:
        found.append(f"its calibration error on the experts' dev questions is {-100 * frozen.difference:.1f} points higher")
    return [feedback, frozen], found


def _log_likelihood(of: Confidence, rated: Ratings) -> Floats:
    """Of every rating, in nats, at most 0."""
    p = np.array([of.after.probability(signals) for signals in rated.signals])
    found: Floats = np.log(np.where(rated.right > 0, p, 1 - p))
    return found


def _calibration_error(services: Services, serving: Confidence, fresh: Confidence, progress: Progress) -> Comparison:
    """Less the expected calibration error of both on the frozen set: higher is better, as everywhere in the gate."""
    free = Services(services.settings, load=lambda spec, settings, reader: load_model(READER, settings, reader))
    total = sum(len(expert.questions("dev")) for expert in free.experts.values())
    advance: Callable[[int], None] = progress("Answering the frozen set", total)
    rows: list[Case] = cases(free, ["dev"], lambda: advance(1), kinds=FROZEN_KINDS)
    right = np.array([row.right for row in rows], bool)
    errors = [ece(np.array([of.after.probability(row.parts) for row in rows]), right) for of in (serving, fresh)]
    before, after = (None if error is None else -error for error in errors)
    return Comparison("frozen set", len(rows), before, after, None)
