"""Train a recommender on recorded scores of several models: the kinds are compared by cross-validation, and the best one is kept.

Best is the kind with the highest mean score of the models it recommends. Rows of one prompt or group stay together (`evaluation.splits`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import InputError
from evaluation.encoding import RememberingEncoder
from evaluation.measured import Scored
from evaluation.recommendation import Advised, best_single, judge, unread
from evaluation.results import Progress, Result, silent
from evaluation.splits import FOLDS, folds
from evaluation.tradeoff import best_worth, choices, worths
from graph.recommender import LLM, Measured, Recommender
from graph.routers.saved import add_to_about
from graph.services import Services

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = ("quality", "gain", "gap_recovered", "aiq", "cost_to_match")
Make = Callable[[str], Recommender]


@dataclass(frozen=True, slots=True)
class Compared:
    """What cross-validation found. best: the kind to keep; worth: of a dollar for that kind (see `Recommender`); results: best first."""

    best: str
    worth: float
    results: list[Result]

    @property
    def pays(self) -> bool:
        """Whether the best kind is clearly better than the best single model: at any cost, or on average at equal cost."""
        intervals = next(r for r in self.results if r.name == self.best).interval
        return any(intervals[name][0] > 0 for name in ("gain", "aiq_gain") if name in intervals)


def train(
    services: Services,
    rows: Sequence[Scored],
    measured: Measured,
    path: Path,
    kinds: Sequence[str],
    *,
    model: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Recommender, Compared, list[str]]:
    """The best of `kinds`, fitted on all rows, how they compare, and what must be said. model: asked by the kind llm. Raises InputError."""
    made: list[Recommender] = []
    encoder = RememberingEncoder(services.encoder, progress)
    encoder.encode(measured.prompts)
    advance = progress("Fitting", len(kinds) * FOLDS + 1)

    def make(of: str) -> Recommender:
        made.append(Recommender(of, encoder, seed=seed, model=model if of == LLM else None, ask=services.ask))
        return made[-1]

    compared = compare(rows, measured, path, kinds, make, lambda: advance(1))
    fitted = make(compared.best).fit(measured)
    advance(1)
    return fitted, compared, unread(made, len(rows))


def compare(
    rows: Sequence[Scored], measured: Measured, path: Path, kinds: Sequence[str], make: Make, advance: Callable[[], None]
) -> Compared:
    """Five-fold cross-validation of `kinds`, beside the baselines. `advance`: called for every fit. Raises InputError for too few rows."""
    splits = folds(rows, path)
    if len(measured.models) < 2:
        raise InputError(f"{path}: expected the scores of at least two models; got those of {', '.join(measured.models)} alone.")
    there = np.isfinite(measured.scores)
    if scarce := [model for n, model in enumerate(measured.models) if not all(there[split.fit, n].any() for split in splits)]:
        raise InputError(
            f"{path}: too few prompts have a score of {', '.join(scarce)}: without those of one fold of the cross-validation none is left. "
            "Measure more of them, or leave the model out of the file."
        )
    said = []
    for kind in kinds:
        qualities, costs = np.zeros(measured.scores.shape), np.zeros(measured.scores.shape)
        for split in splits:
            fitted, prompts = make(kind).fit(measured.rows(split.fit)), [measured.prompts[n] for n in split.judge]
            qualities[split.judge], costs[split.judge] = fitted.qualities(prompts), fitted.costs(prompts)
            advance()
        said.append(Advised(kind, qualities, costs))
    report = judge(measured, [*said, best_single(measured, splits)], "")
    best = next(r.name for r in report.best_first if not r.baseline)
    chosen = next(each for each in said if each.name == best)
    made = choices(chosen.qualities, chosen.costs, measured.scores, measured.costs)
    return Compared(best, best_worth(made, worths(measured.costs)), report.best_first)


def save(fitted: Recommender, folder: Path, rows: int, paths: Sequence[Path], compared: Compared) -> None:
    """Write the recommender with what it was trained on and what it reached. Raises IndexFault."""
    fitted.worth = compared.worth
    fitted.save(folder)
    numbers = next(r for r in compared.results if r.name == fitted.kind).metrics
    metrics = {name: None if (v := numbers.get(name)) is None else round(v, 4) for name in SHOWN}
    add_to_about(folder, trained_on={"files": [path.name for path in paths], "rows": rows}, metrics=metrics)


def as_table(compared: Compared) -> Table:
    """The kinds side by side, the best first."""
    from rich.table import Table

    table = Table("", *SHOWN, title="Five-fold cross-validation", title_justify="left")
    for r in compared.results:
        table.add_row(r.name, *("-" if (v := r.metrics.get(name)) is None else f"{v:.3f}" for name in SHOWN))
    return table
