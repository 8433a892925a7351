"""Colliding pairs: examples of different labels that lie close together, so that a router can hardly tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ui.chat.markup import BOTH
from ui.lab.examples import Examples

BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Collision:
    """Two examples. `similarity`: their cosine, in [-1, 1]."""

    text: str
    label: str
    other: str
    other_label: str
    similarity: float


def collisions(found: Examples, at: float) -> list[Collision]:
    """All pairs with no label in common and a cosine of at least `at`, nearest first.

    A text that stands in the files of two experts on purpose belongs to both, and collides with neither.
    """
    names = list(dict.fromkeys(found.labels))
    owners = [set(name.split(BOTH)) for name in names]
    apart = np.array([[not one & other for other in owners] for one in owners])
    of = np.array([names.index(label) for label in found.labels])
    pairs: list[tuple[float, int, int]] = []
    for start in range(0, len(of), BLOCK):
        pairs += _in_block(found.vectors, of, apart, start, at)
    return [
        Collision(found.texts[i], found.labels[i], found.texts[j], found.labels[j], round(cosine, 4))
        for cosine, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))
    ]


def _in_block(
    vectors: NDArray[np.float32], of: NDArray[np.int_], apart: NDArray[np.bool_], start: int, at: float
) -> list[tuple[float, int, int]]:
    """(cosine, i, j) of the pairs i < j whose i lies in the block that begins at `start`."""
    cosines = vectors[start : start + BLOCK] @ vectors[start:].T
    near = np.argwhere(np.triu(cosines >= at, 1))
    near = near[apart[of[start + near[:, 0]], of[start + near[:, 1]]]]  # here, not below: of one label there are very many
    return [(float(cosines[i, j]), start + int(i), start + int(j)) for i, j in near]
