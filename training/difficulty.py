"""Train a difficulty router on recorded scores of two models, and measure it by cross-validation beside the baselines.

Measures: APGR and CPT as in RouteLLM (Ong et al., 2024), AUROC and ECE of "the superior model scores higher". As in
`switchyard eval escalation`, rows are ranked within their fold, and the folds are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import InputError
from evaluation.data import Pair, read_pairs
from evaluation.metrics import Floats, Ints, apgr, auroc, cost_quality, cpt, ece, mean, mean_curve
from evaluation.rows import Mapped, row_of
from evaluation.rows import read_rows as lines_of
from evaluation.splits import folds
from graph.difficulty import ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR, DifficultyRouter, check_scores
from graph.routers.saved import add_to_about

if TYPE_CHECKING:
    from rich.table import Table

METRICS = ("apgr", "cpt50", "cpt80", "auroc", "ece")
SCORES = {ROUTE_TO_INFERIOR: (1.0, 1.0), ROUTE_TO_SUPERIOR: (0.0, 1.0)}
"""What a label says of the two models: whether each of them suffices."""
QUESTION = "question_id"
"""In labels of judgements: the prompt of a second turn holds that of the first."""
Numbers = dict[str, float | None]
Make = Callable[[str], DifficultyRouter]


def read_rows(paths: Sequence[Path], group: str | None = None, mapping: Mapped | None = None) -> list[Pair]:
    """Rows {"prompt","weak_score","strong_score"} or {"prompt","label"} of one or more files, scores in [0, 1].

    Scores of a file that lie between 1 and 10 are scaled. `group`: a column of rows that stay together; of labels it is QUESTION where
    they have it. Raises InputError with file and line.
    """
    maps = mapping or {}
    return [row for path in paths for row in (_labelled if _has_labels(path, maps) else _scored)(path, group, maps)]


def _has_labels(path: Path, mapping: Mapped) -> bool:
    """Whether the first row has a label in the place of scores; what cannot be read is left to the reader that says so."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
        fields = row_of(path, 1, first, mapping, "").fields
    except (OSError, UnicodeDecodeError, InputError):
        return False
    return "label" in fields and "weak_score" not in fields


def _scored(path: Path, group: str | None, mapping: Mapped) -> list[Pair]:
    rows = read_pairs(path, mapping, group)
    scores = [score for row in rows for score in (row.weak_score, row.strong_score)]
    if min(scores) >= 0 and max(scores) <= 1:
        return rows
    if min(scores) < 1 or max(scores) > 10:
        raise InputError(f"{path}: expected all scores in [0, 1], or all from 1 to 10; got {min(scores):g} to {max(scores):g}.")
    return [
        Pair(row.prompt, (row.weak_score - 1) / 9, (row.strong_score - 1) / 9, row.weak_response, row.groups, row.together) for row in rows
    ]


def _labelled(path: Path, group: str | None, mapping: Mapped) -> list[Pair]:
    rows = []
    for row in lines_of(path, mapping, '{"prompt","label"}'):
        if (label := row.text("label")) not in SCORES:
            raise row.fault(f"the label is {label!r}, neither {' nor '.join(SCORES)}. Mend the line.")
        column = group or (QUESTION if row.fields.get(QUESTION) is not None else None)
        rows.append(Pair(row.text("prompt"), *SCORES[label], together=row.together(column)))
    return rows


def cross_validate(rows: Sequence[Pair], path: Path, kinds: Sequence[str], make: Make, advance: Callable[[], None]) -> dict[str, Numbers]:
    """METRICS of each kind and of `random`, five-fold; rows of one prompt or group stay together. `advance`: called for every fit.

    Raises InputError where there is nothing to learn.
    """
    weak, strong = check_scores([row.prompt for row in rows], [row.weak_score for row in rows], [row.strong_score for row in rows])
    splits, needed = folds(rows, path), strong > weak
    if any(len(set(needed[split.fit])) < 2 for split in splits):
        raise InputError(
            f"{path}: {int(needed.sum())} of the {len(rows)} rows need the superior model; expected more rows that do and that do not, as "
            f"{len(splits)}-fold cross-validation learns from both without any one fold. Add rows of other prompts."
        )
    found: dict[str, Numbers] = {"random": {"apgr": 0.5, "cpt50": 0.5, "cpt80": 0.8, "auroc": 0.5, "ece": None}}
    for kind in kinds:
        said = np.zeros(len(rows))
        for split in splits:
            router = fit(make(kind), [rows[i] for i in split.fit])
            said[split.judge] = router.predict_proba([rows[i].prompt for i in split.judge])
            advance()
        found[kind] = _measure(said, rows, [split.judge for split in splits])
    return found


def fit(router: DifficultyRouter, rows: Sequence[Pair]) -> DifficultyRouter:
    """The router, fitted on `rows`."""
    return router.fit([row.prompt for row in rows], [row.weak_score for row in rows], [row.strong_score for row in rows])


def _measure(needed: Floats, rows: Sequence[Pair], parts: Sequence[Ints]) -> Numbers:
    weak, strong = np.array([row.weak_score for row in rows]), np.array([row.strong_score for row in rows])
    curve = mean_curve([cost_quality(needed[part], weak[part], strong[part]) for part in parts], [len(part) for part in parts])
    better = strong > weak
    apart = [found for part in parts if (found := auroc(needed[part[better[part]]], needed[part[~better[part]]])) is not None]
    return {
        "apgr": apgr(curve),
        "cpt50": cpt(curve, 0.5),
        "cpt80": cpt(curve, 0.8),
        "auroc": mean(apart),
        "ece": ece(needed, better),
    }


def save(router: DifficultyRouter, folder: Path, rows: Sequence[Pair], paths: Sequence[Path], numbers: Numbers) -> None:
    """Write the router with what it was trained on and what it reached. Raises IndexFault."""
    router.save(folder)
    data: dict[str, Any] = {"files": [path.name for path in paths], "rows": len(rows)}
    data["superior_better"] = round(float(np.mean([row.strong_score > row.weak_score for row in rows])), 4)
    add_to_about(folder, trained_on=data, metrics={name: None if v is None else round(v, 4) for name, v in numbers.items()})


def as_table(found: dict[str, Numbers]) -> Table:
    """The kinds side by side, the baselines first."""
    from rich.table import Table

    table = Table("", *found, title="Five-fold cross-validation", title_justify="left")
    for name in METRICS:
        table.add_row(name, *("-" if (v := numbers[name]) is None else f"{v:.3f}" for numbers in found.values()))
    return table
