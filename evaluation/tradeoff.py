"""Cost against quality where any of several models may be asked: pure functions of numbers. Costs are in USD, qualities in [0, 1].

A system that expects of each model a quality and a cost prefers the model with the highest quality - worth * cost; each worth of a dollar
gives a point of mean cost and mean quality. Between two points lots can be drawn, and a dearer point that is no better is never used: what
is left is the non-decreasing convex hull, and AIQ, the average improvement in quality, is its mean height (Hu et al.: RouterBench, 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import Floats, Ints

WORTHS = 48
DECADES = 3.0
"""Worths reach from ten to the minus so many points of quality for an average answer's cost up to ten to so many."""
PER = 1_000
"""A mean cost is shown in USD for so many prompts."""
CLOSE = 0.005
"""Half a point of quality: so near counts as the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """What was got by choosing at each worth, 0 first. scores, costs: of the chosen models, shape (worths, rows).

    picked: the models at the worth 0, (rows,).
    """

    scores: Floats
    costs: Floats
    picked: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Hull:
    """The best mean quality for a mean cost. cost: rising; quality: rising ever less; beyond the last point quality stays as it is."""

    cost: Floats
    quality: Floats

    def at(self, cost: float) -> float | None:
        """Quality for a cost; None below the cheapest point."""
        return float(np.interp(cost, self.cost, self.quality)) if cost >= self.cost[0] - 1e-15 else None

    def cost_of(self, quality: float) -> float | None:
        """The least cost of a quality; None where it is never reached."""
        if quality > self.quality[-1]:
            return None
        return float(np.interp(quality, self.quality, self.cost))


@dataclass(frozen=True, slots=True, eq=False)
class Tradeoff:
    """What the plot shows: hulls of systems and (cost, quality) of single models, by name."""

    hulls: dict[str, Hull]
    models: dict[str, tuple[float, float]]


def worths(costs: Floats) -> Floats:
    """Points of quality for a USD, from 0 up, on the scale of these costs; only 0 where nothing is known to cost anything."""
    scale = float(np.nanmean(costs)) if np.isfinite(costs).any() else 0.0
    return np.append(0.0, np.logspace(-DECADES, DECADES, WORTHS) / scale) if scale > 0 else np.zeros(1)


def choices(expected: Floats, expected_costs: Floats, scores: Floats, costs: Floats) -> Choices:
    """Choose among the models that have a score in each row; all of shape (rows, models), NaN in `costs` where they are not known.

    Of equals the cheaper one. Every row has a score. Where a cost is not known, only quality decides.
    """
    known = np.isfinite(expected_costs).all() and np.isfinite(costs[np.isfinite(scores)]).all()
    price = expected_costs if known else np.zeros(expected.shape)
    there = np.isfinite(scores)
    rows = np.arange(len(scores))
    picked = []
    for worth in worths(costs if known else price):
        picked.append(pick(expected, price, there, float(worth)))
    return Choices(np.stack([scores[rows, p] for p in picked]), np.stack([costs[rows, p] for p in picked]), picked[0])


def pick(expected: Floats, price: Floats, there: NDArray[np.bool_], worth: float) -> Ints:
    """The model to ask in each row, (rows,), among those that are `there`; all else of shape (rows, models)."""
    # The least of weights on the cost breaks ties.
    found: Ints = np.where(there, expected - max(worth, 1e-9) * price, -np.inf).argmax(axis=1)
    return found


def hull(cost: Floats, quality: Floats) -> Hull:
    """Of points, by a monotone chain (Andrew, 1979), without its falling part."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(set(zip(cost.tolist(), quality.tolist(), strict=True))):
        # The last point is always the highest so far.
        if found and y <= found[-1][1]:
            continue
        if found and x == found[-1][0]:
            found.pop()
        while len(found) > 1 and _below(found[-2], found[-1], (x, y)):
            found.pop()
        found.append((x, y))
    points = np.array(found)
    return Hull(points[:, 0], points[:, 1])


def _below(before: tuple[float, float], middle: tuple[float, float], after: tuple[float, float]) -> bool:
    """Whether the middle point lies on or under the line from the first to the last."""
    return (middle[1] - before[1]) * (after[0] - before[0]) <= (after[1] - before[1]) * (middle[0] - before[0])


def aiq(found: Hull, low: float, high: float) -> float | None:
    """Mean height of the hull over costs from `low` to `high`, in [0, 1]; None where there is no such range.

    Below its cheapest point a hull has the quality of that point: a system that cannot be as cheap is not made worse by that.
    """
    if not high > low:
        return None
    inside = found.cost[(found.cost > low) & (found.cost < high)]
    grid = np.r_[low, inside, high]
    return float(np.trapezoid(np.interp(grid, found.cost, found.quality), grid) / (high - low))


def best_worth(made: Choices, known: Floats) -> float:
    """The worth of the least mean cost among those whose mean quality is within CLOSE of the highest. `known`: the worths of `made`."""
    quality, cost = made.scores.mean(axis=1), made.costs.mean(axis=1)
    close = np.flatnonzero(quality >= quality.max() - CLOSE)
    return float(known[close[np.argmin(cost[close])]])
