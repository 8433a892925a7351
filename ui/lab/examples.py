"""The routers' examples with their vectors, and documents beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import DocumentError, IndexFault, SwitchyardError
from graph.services import Services
from retrieval.encoder import Vectors


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled texts, labels of several experts joined by `markup.BOTH`. `vectors`: shape (len(texts), dimensions), rows of unit length."""

    texts: list[str]
    labels: list[str]
    vectors: Vectors


def examples(shared: Services) -> Examples:
    """What the similarity router has learnt from, with the vectors that it keeps: nothing is encoded anew."""
    return Examples(*shared.similarity.examples())


def passages(shared: Services) -> Examples:
    """The experts' passages, their titles and beginnings as texts, their vectors those of the index.

    An expert whose documents cannot be read has none. Raises DocumentError or IndexFault when that is so of all.
    """
    texts: list[str] = []
    labels: list[str] = []
    vectors: list[Vectors] = []
    faults: list[SwitchyardError] = []
    for name in shared.experts:
        try:
            index = shared.index(name)
        except (DocumentError, IndexFault) as error:
            faults.append(error)
            continue
        texts += [f"{p.title}: {p.text}" if p.title else p.text for p in index.passages]
        labels += [name] * len(index.passages)
        vectors.append(index.vectors.vectors(index.rows[:-1]))
    if not vectors:
        raise faults[0]
    return Examples(texts, labels, np.concatenate(vectors))


def spread(found: Examples, most: int) -> Examples:
    """At most about `most` of them, every label with its share, evenly spaced: the same ones every time."""
    names = list(dict.fromkeys(found.labels))
    each = max(1, most // max(1, len(names)))
    of = np.array(found.labels)
    rows = [np.flatnonzero(of == name) for name in names]
    kept = [own[np.linspace(0, len(own) - 1, min(each, len(own))).astype(int)] for own in rows]
    chosen = np.concatenate(kept)
    return Examples([found.texts[i] for i in chosen], [found.labels[i] for i in chosen], found.vectors[chosen])
