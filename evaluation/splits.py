"""Splits that do not leak: rows of one prompt, or of one group, are never on both sides."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.errors import InputError
from evaluation.encoding import RememberingEncoder
from evaluation.metrics import Floats, Ints, Rows
from retrieval.text import normalise

FOLDS = 5
FEW, DIVISIONS = 2000, 10
"""Fewer rows than this are cross-validated so many times."""
Predict = Callable[[int], float]
"""A fitted system's number for a row."""


class Grouped(Protocol):
    """A row that has a prompt and perhaps a group."""

    @property
    def prompt(self) -> str:
        """Compared in its normal form: lower case, no punctuation, single spaces."""

    @property
    def together(self) -> str:
        """The group; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Split:
    """Numbers of the rows to fit on and of those to judge."""

    fit: Ints
    judge: Ints


def fold_numbers(splits: Sequence[Split]) -> Ints:
    """For each judged row the number of its split."""
    found = np.zeros(sum(len(split.judge) for split in splits), np.int64)
    for n, split in enumerate(splits):
        found[split.judge] = n
    return found


def within_folds(rows: Rows, fold_of: Ints) -> list[Rows]:
    """The rows of each fold: what ranks is judged fold by fold, and the folds are averaged.

    Scores of systems that were fitted on different rows are not comparable: ranked in one list, a fold with many positive rows, which its
    own system has not seen, would sink below the others (Forman & Scholz, Apples-to-Apples in Cross-Validation Studies, 2010).
    """
    of = fold_of[rows]
    return [rows[of == n] for n in np.unique(of)]


def divisions(rows: Sequence[Grouped], path: Path) -> list[list[Split]]:
    """Cross-validations: one, or of few rows several, each of them divided otherwise. Raises InputError, see `folds`.

    Among few rows the number hangs on which of them fall into one fold: the mean over several divisions does less so (Kim: Estimating
    classification error rate: repeated cross-validation, repeated hold-out and bootstrap, 2009).
    """
    return [folds(rows, path, seed=seed) for seed in range(DIVISIONS if len(rows) < FEW else 1)]


def folds(rows: Sequence[Grouped], path: Path, count: int = FOLDS, seed: int = 0) -> list[Split]:
    """Cross-validation in at most `count` folds of about equal size, the same for the same rows. Raises InputError with one group only."""
    from sklearn.model_selection import GroupKFold

    group = _connected(rows)
    count = min(count, int(group.max()) + 1)
    if count < 2:
        raise InputError(f"{path}: expected at least two different prompts (or groups) to fit on the one and judge the other; got one.")
    # Groups of one size are dealt out in turn: mixed first, so that a pattern in the file's order does not become one of the folds.
    mixed = np.random.default_rng(seed).permutation(int(group.max()) + 1)[group]
    parts = GroupKFold(count).split(mixed, groups=mixed)
    return [Split(fit.astype(np.int64), judge.astype(np.int64)) for fit, judge in parts]


def held_out(judged: Sequence[Grouped], learnt: Sequence[Grouped], path: Path) -> list[Split]:
    """Fit on the rows that follow those that are judged, but never on one that shares a prompt or a group with a row of the same split.

    One split, unless the two share groups: then the judged rows' groups take turns, as in `folds`, and each is fitted on the others.
    Raises InputError when there is nothing to fit on.
    """
    group, size = _connected([*judged, *learnt]), len(judged)
    rest = np.arange(size, len(group))
    known = {row.together for row in judged if row.together}
    turns = [np.arange(size)]
    if known & {row.together for row in learnt}:
        turns = [split.judge for split in folds(judged, path)]
    splits = [Split(rest[~np.isin(group[rest], group[turn])], turn) for turn in turns]
    if not all(len(split.fit) for split in splits):
        raise InputError(f"{path}: every row shares its prompt (or its group) with a row that is judged; nothing is left to fit on.")
    return splits


def left_out(splits: Sequence[Split], rows: int) -> str | None:
    """A note on the rows that are neither fitted on nor judged, or None."""
    lost = rows - len(set().union(*(part.tolist() for split in splits for part in (split.fit, split.judge))))
    return f"Training rows left out because they share a prompt or a group with judged ones: {lost:,}." if lost else None


def out_of_sample(
    splits: Sequence[Split], fit: Callable[[Ints], Predict], encoder: RememberingEncoder, advance: Callable[[int], None]
) -> tuple[Floats, list[float]]:
    """Fit on one side of each split, predict the other row by row: the numbers, and the seconds that each took as if its text were new."""
    size = sum(len(split.judge) for split in splits)
    values, seconds = np.zeros(size), np.zeros(size)
    for split in splits:
        predict = fit(split.fit)
        for row in split.judge.tolist():
            start, saved = time.perf_counter(), encoder.saved
            values[row] = predict(row)
            seconds[row] = time.perf_counter() - start + encoder.saved - saved
            advance(1)
    return values, seconds.tolist()


def _connected(rows: Sequence[Grouped]) -> Ints:
    """A number from 0 for each row, shared by rows that are linked by prompts or groups, if only over other rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys: dict[tuple[str, str], int] = {}
    links = []
    for n, row in enumerate(rows):
        # A prompt of signs alone has an empty normal form: it stands for itself.
        of_row = [("prompt", normalise(row.prompt) or row.prompt)] + ([("group", row.together)] if row.together else [])
        links += [(n, len(rows) + keys.setdefault(key, len(keys))) for key in of_row]
    size = len(rows) + len(keys)
    ones, ends = np.ones(len(links)), np.array(links).T
    _, labels = connected_components(coo_array((ones, (ends[0], ends[1])), shape=(size, size)), directed=False)
    return np.unique(labels[: len(rows)], return_inverse=True)[1].astype(np.int64)
