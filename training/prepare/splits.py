"""Splits that do not leak: near-duplicates are never in two of them.

A row that is held out stays where it is, since what was measured on it must stay comparable: test before dev, dev before train. What leaks
into it from the other side is left out. Rows without a split join their near-duplicates, or are drawn with them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from training.prepare.duplicates import HELD_OUT, Pair
from training.prepare.findings import Finding
from training.prepare.rows import Row

Splits = dict[int, str]
"""Number of a row -> its split, empty while it has none; a row that is left out is not there."""


def assign(rows: Sequence[Row], pairs: Sequence[Pair], shares: Mapping[str, float], seed: int) -> tuple[list[Row], list[Finding]]:
    """The rows that remain, each with its split, and what was left out.

    shares: of the rows that neither have a split nor a near-duplicate that has one, by split; they sum to 1.
    """
    splits = {n: row.split for n, row in enumerate(rows)}
    findings = _mend(rows, splits, pairs)
    free = []
    for group in _groups(splits, pairs):
        undecided = [n for n in group if not splits[n]]
        given = sorted({splits[n] for n in group} - {""})
        if not given:
            free.append(undecided)
        elif len(given) == 1:
            splits |= dict.fromkeys(undecided, given[0])
        else:
            for n in undecided:
                del splits[n]
                findings.append(Finding("leak", rows[n].at, rows[n].question, f"near-duplicate of rows of {' and '.join(given)}"))
    splits |= _draw(free, shares, seed)
    return [replace(rows[n], split=split) for n, split in splits.items()], findings


def _mend(rows: Sequence[Row], splits: Splits, pairs: Sequence[Pair]) -> list[Finding]:
    """Take what leaks out of `splits`: a finding for each such row."""
    findings = []
    for held in ("test", "dev"):  # What is left out for the sake of test leaks into dev no more.
        for pair in pairs:
            kept, lost = sorted((pair.first, pair.second), key=lambda n: -HELD_OUT[splits.get(n, "")])
            if splits.get(kept) == held and splits.get(lost, "") not in ("", held):
                detail = f'in {splits.pop(lost)}, and in {held} "{rows[kept].question}"'
                findings.append(Finding("leak", rows[lost].at, rows[lost].question, detail, rows[kept].at))
    return findings


def _groups(splits: Mapping[int, str], pairs: Sequence[Pair]) -> list[list[int]]:
    """Rows that are linked by near-duplicates, if only over others, in the order of the rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.array([(p.first, p.second) for p in pairs if p.first in splits and p.second in splits], np.int64).reshape(-1, 2)
    size = max(splits, default=-1) + 1
    _, labels = connected_components(coo_array((np.ones(len(links)), links.T), shape=(size, size)), directed=False)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for n in splits:
        groups[int(labels[n])].append(n)
    return list(groups.values())


def _draw(groups: Sequence[Sequence[int]], shares: Mapping[str, float], seed: int) -> dict[int, str]:
    """A split for each group, the same for the same seed: the largest groups first, each to the split that lacks the most rows."""
    mixed = [groups[n] for n in np.random.default_rng(seed).permutation(len(groups))]
    total = sum(map(len, groups))
    lacks = {split: share * total for split, share in shares.items()}
    drawn: dict[int, str] = {}
    for group in sorted(mixed, key=len, reverse=True):
        split = max(lacks, key=lambda name: lacks[name])
        lacks[split] -= len(group)
        drawn |= dict.fromkeys(group, split)
    return drawn
