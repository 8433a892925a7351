"""Whether a candidate may take the place of what is in service: paired, row by row, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import bootstrap

FEWEST_ROWS, FEWEST_PEOPLE = 20, 3
"""Of the feedback that judges. The local user counts for as many as are needed."""
TOLERATED = 0.01
"""So much may any label's recall on the frozen set fall, a point, and so much may the calibration error rise."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A weighted mean over the same `n` rows before and after. interval: 95%, of the difference (after less before); None without rows."""

    name: str
    n: int
    before: float | None
    after: float | None
    interval: tuple[float, float] | None

    @property
    def difference(self) -> float:
        """After less before; 0 without rows."""
        return 0.0 if self.before is None or self.after is None else self.after - self.before

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def compare(name: str, before: Floats, after: Floats, weights: Floats | None = None, people: Sequence[str | None] = ()) -> Comparison:
    """Compare two measures of the same rows, shape (n,). The bootstrap draws people with all their rows; nobody's rows one by one."""
    n = len(before)
    if not n:
        return Comparison(name, 0, None, None, None)
    w = np.ones(n) if weights is None else weights
    groups = _groups(people or [None] * n)

    def difference(drawn: NDArray[np.int64]) -> float:
        rows = np.concatenate([groups[g] for g in drawn])
        return float(np.average((after - before)[rows], weights=w[rows]))

    interval = bootstrap(difference, len(groups))
    return Comparison(name, n, float(np.average(before, weights=w)), float(np.average(after, weights=w)), interval)


def _groups(people: Sequence[str | None]) -> list[list[int]]:
    rows: dict[object, list[int]] = {}
    for n, person in enumerate(people):
        rows.setdefault(n if person is None else person, []).append(n)
    return list(rows.values())


def objections(feedback: Comparison, people: Sequence[str | None], frozen: Comparison, of_labels: Sequence[Comparison]) -> list[str]:
    """Why a candidate is not promoted, in words; empty when it is better on feedback and nowhere worse.

    `feedback`: of rows that were held out, said by `people`; `frozen`: of all rows of the frozen set; `of_labels`: of its parts.
    """
    found = []
    if feedback.n < FEWEST_ROWS:
        found.append(f"only {feedback.n} held-out rows of feedback judge it; {FEWEST_ROWS} are needed")
    elif None not in people and len(set(people)) < FEWEST_PEOPLE:
        found.append(f"the held-out feedback comes from fewer than {FEWEST_PEOPLE} people")
    elif feedback.interval is None or feedback.interval[0] <= 0:
        found.append("it is not clearly better on held-out feedback")
    if frozen.interval and frozen.interval[1] < 0:
        found.append(f"it is clearly worse on the frozen set ({100 * frozen.difference:+.1f} points)")
    found += [
        f"{one.name} is worse by {-100 * one.difference:.1f} points on the frozen set" for one in of_labels if one.difference < -TOLERATED
    ]
    return found
