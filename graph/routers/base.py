"""What every router can do, and the examples it learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.types import OUT_OF_SCOPE, Neighbour
from graph.routers.calibration import Floats, Ints


class Router(Protocol):
    """Scikit-learn's verbs over texts. Scores and decision stay apart: the policy decides."""

    kind: str
    labels: list[str]

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Learn from labelled examples. Raises InputError for rows that teach nothing (see `Examples.of`)."""

    def calibrate(self, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Fit the probabilities on examples that `fit` has not seen; a router that needs none stays as it is. Raises InputError."""

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (len(texts), len(labels)), rows sum to 1."""

    def left_out_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """As `predict_proba`, but a router that can judges its own examples as if never seen: for whoever learns from these numbers."""

    def familiarity(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """How much each text looks like any label of an expert, shape (len(texts),): higher is more in scope, of no fixed range.

        What tells in-scope from out-of-scope texts where no out-of-scope examples were learnt from.
        """

    def nearest(self, text: str, k: int) -> list[Neighbour]:
        """The `k` examples that lie nearest, best first; empty where a router keeps none."""

    def save(self, folder: Path) -> None:
        """Write the router, whole or not at all, without pickle."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Each text once, with the label or labels it belongs to. `labels`: sorted, out_of_scope last."""

    texts: list[str]
    own: list[list[str]]
    labels: list[str]

    @classmethod
    def of(cls, texts: Sequence[str], labels: Sequence[str]) -> Examples:
        """Repeated rows count once; a text with several labels belongs to each of them.

        Raises InputError for no rows, one label only, an empty text or label, or a text that is both an expert's and out of scope.
        """
        if len(texts) != len(labels):
            raise InputError(f"Expected a label for each text; got {len(texts)} texts and {len(labels)} labels.")
        rows: dict[str, list[str]] = {}
        for n, (text, label) in enumerate(zip(texts, labels, strict=True), 1):
            if not text.strip() or not label.strip():
                raise InputError(
                    f"Example {n}: expected a text and a label; the {'label' if text.strip() else 'text'} is empty. Remove it."
                )
            known = rows.setdefault(text, [])
            if label not in known:
                known.append(label)
            if len(known) > 1 and OUT_OF_SCOPE in known:
                raise InputError(f"The example {text!r} is labelled both {' and '.join(known)}: keep one.")
        found = ordered({label for own in rows.values() for label in own})
        if len(found) < 2:
            raise InputError(
                f"A router needs examples of at least two labels; got {found or 'no rows'}. "
                "Add another expert, or an out_of_scope.csv (text,split) beside the experts."
            )
        return cls(list(rows), list(rows.values()), found)

    @property
    def targets(self) -> Floats:
        """Shape (n, labels), rows sum to 1: a text of two labels counts half for each."""
        found = np.zeros((len(self.texts), len(self.labels)))
        column = {label: n for n, label in enumerate(self.labels)}
        for row, own in enumerate(self.own):
            found[row, [column[label] for label in own]] = 1 / len(own)
        return found

    @property
    def signs(self) -> Floats:
        """Shape (n, labels): +1 for a text's own labels, -1 for the others."""
        return np.where(self.targets > 0, 1.0, -1.0)

    def folds(self, count: int) -> Ints:
        """A fold for each text, from 0, labels spread evenly; the same for the same examples."""
        order = np.random.default_rng(0).permutation(len(self.texts))
        by_label = sorted(order.tolist(), key=lambda i: self.own[i][0])
        found = np.empty(len(self.texts), np.int64)
        found[by_label] = np.arange(len(self.texts)) % count
        return found


def ordered(labels: set[str]) -> list[str]:
    """Sorted, out_of_scope last: the order of every router's columns."""
    return sorted(labels, key=lambda label: (label == OUT_OF_SCOPE, label))


def class_weights(targets: Floats) -> Floats:
    """A weight for each column so that the classes weigh the same; 1 on average over the rows."""
    size = targets.sum(axis=0)
    found: Floats = np.divide(len(targets), len(size) * size, out=np.zeros_like(size), where=size > 0)
    return found


def as_single(targets: Floats, weights: Floats) -> tuple[Ints, Ints, Floats]:
    """(rows, labels, weights): soft targets as one entry for each label of a row, for learners that take one label a row."""
    rows, labels = np.nonzero(targets)
    return rows, labels, targets[rows, labels] * weights[labels]


def parts(folds: Ints) -> Iterator[tuple[Ints, Ints]]:
    """(inside, outside) of every fold, as row numbers."""
    for fold in np.unique(folds):
        yield np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
