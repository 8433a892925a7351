"""The whole preparation: read, clean, compare, split, locate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from evaluation.results import Progress
from evaluation.rows import Mapped
from retrieval.encoder import Encoder
from training.prepare.duplicates import alike, near_duplicates, without_duplicates
from training.prepare.findings import Finding
from training.prepare.places import Corpus, Place, key_faults, locate
from training.prepare.rows import Row, read_rows
from training.prepare.splits import assign


@dataclass(frozen=True, slots=True)
class Options:
    """How to prepare. mapping: our names of columns -> theirs; dev, test: shares in [0, 1] of the rows without a split; the rest trains.

    Raises InputError when nothing would be left to train on.
    """

    mapping: Mapped
    dev: float
    test: float
    max_words: int
    seed: int

    def __post_init__(self) -> None:
        if self.dev + self.test >= 1:
            raise InputError(f"Expected --dev and --test to leave something to train on; {self.dev:g} and {self.test:g} leave nothing.")

    @property
    def shares(self) -> dict[str, float]:
        """The share of each split; they sum to 1."""
        return {"train": 1 - self.dev - self.test, "dev": self.dev, "test": self.test}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation made. places: where the answer of each row stands, None where it was not found; notes: about whole files."""

    rows: list[Row]
    places: list[Place | None]
    findings: list[Finding]
    read: int
    notes: list[str]

    @property
    def splits(self) -> dict[str, int]:
        """How many rows each split has."""
        found = Counter(row.split for row in self.rows)
        return {split: found[split] for split in ("train", "dev", "test")}

    def of_kind(self, kind: str) -> list[Finding]:
        """The findings of a kind, in the order in which they were made."""
        return [finding for finding in self.findings if finding.kind == kind]


def prepare(files: Sequence[Path], encoder: Encoder, options: Options, corpus: Corpus | None, progress: Progress) -> Prepared:
    """Prepare the rows of all files together. Raises InputError when a file cannot be used, or nothing is left of them."""
    rows, findings, notes = _read(files, options)
    read = len({finding.at for finding in findings} | {row.at for row in rows})
    if not rows:
        raise InputError(f"Expected at least one question with its answer; all {read:,} rows were left out: {findings[0].detail}.")
    unique, found = without_duplicates(rows)
    findings += found
    pairs = near_duplicates(unique, encoder, progress)
    if drawn := sum(not row.split for row in unique):
        notes.append(f"Rows that had no split: {drawn:,}. See --dev, --test and --seed.")
    kept, found = assign(unique, pairs, options.shares, options.seed)
    findings += found
    remain = {row.at for row in kept}
    findings += alike(unique, [pair for pair in pairs if {unique[pair.first].at, unique[pair.second].at} <= remain])
    places: list[Place | None] = [None] * len(kept)
    if corpus is None:
        notes.append("No answer was located, since no documents were named: --corpus PATH.")
        findings += [fault for row in kept for fault in key_faults(row)]
    else:
        advance = progress("Locating answers", len(kept))
        for n, row in enumerate(kept):
            kept[n], places[n], found = locate(row, corpus)
            findings += found
            advance(1)
    return Prepared(kept, places, findings, read, notes)


def _read(files: Sequence[Path], options: Options) -> tuple[list[Row], list[Finding], list[str]]:
    """The clean rows of all files, what was found in them, and a note on each file that is not in UTF-8."""
    rows, findings, notes = [], [], []
    for path in files:
        more, found, encoding = read_rows(path, options.mapping, options.max_words)
        rows += more
        findings += found
        if encoding:
            notes.append(f"{path} is not in UTF-8; it was read as {encoding}.")
    return rows, findings, notes
