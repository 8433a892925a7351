"""Which corrections of the route count, and how much: the rules that keep one loud or mistaken voice from moving everybody's router.

1. One person's word on a question counts once: the latest.
2. A named person's corrections weigh no more than OWNER_VOTES together. The local user, who has no name, is not capped.
3. What is learnt from must be borne out: among the NEIGHBOURS shipped examples and corrections that lie nearest to it, those with its label
   weigh at least half. A person's own corrections do not bear out each other. The local user's do, for he is trusted with what no expert
   claims; but not where most of the nearest shipped examples are another expert's.
4. One question in EVALUATED, chosen by its words alone, is never learnt from: it judges.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.types import OUT_OF_SCOPE
from graph.followup import is_followup
from retrieval.encoder import Vectors
from retrieval.text import words
from store.feedback import Feedback

OWNER_VOTES = 20.0
NEIGHBOURS, REACH = 10, 0.4
"""A neighbour has at least this cosine; who has none is not contradicted."""
EVALUATED = 5
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Correction:
    """Where a question belongs, by a person's word. `weight` in (0, 1]; `owner`: None is the local user."""

    id: str
    text: str
    label: str
    owner: str | None
    weight: float = 1.0

    @property
    def judges(self) -> bool:
        """Whether it is one of those that are never learnt from."""
        return held_out(self.text)


def held_out(question: str) -> bool:
    """Whether a question judges; the same for all that have its words in its order."""
    digest = hashlib.sha256(" ".join(words(question)).encode()).digest()
    return int.from_bytes(digest[:4]) % EVALUATED == 0


def corrections(given: Sequence[Feedback], labels: Collection[str]) -> tuple[list[Correction], dict[str, int]]:
    """Rules 1 and 2, of feedback oldest first; and how many were left out, by reason. What says nothing of the route is no correction."""
    found: dict[tuple[str | None, str], Correction] = {}
    left_out: Counter[str] = Counter()
    for each in given:
        label = each.label
        if label is None:
            continue
        if label not in labels:
            left_out["of an expert that is not there"] += 1
        elif is_followup(each.question):
            left_out["of a question that leans on the one before"] += 1
        else:
            key = each.owner, " ".join(words(each.question))
            left_out["said again later by the same person"] += key in found
            found[key] = Correction(each.id, each.question, label, each.owner)
    said = Counter(one.owner for one in found.values())
    weighed = [one if one.owner is None else replace(one, weight=min(1.0, OWNER_VOTES / said[one.owner])) for one in found.values()]
    return weighed, {reason: n for reason, n in left_out.items() if n}


def borne_out(rows: Sequence[Correction], vectors: Vectors, shipped: Vectors, shipped_labels: Sequence[frozenset[str]]) -> Bools:
    """Rule 3. `vectors`: (n, dimensions) of `rows`; `shipped`: (m, dimensions) of the shipped examples, each with its labels."""
    weights = np.array([1.0] * len(shipped) + [row.weight for row in rows])
    found = np.ones(len(rows), bool)
    for n, row in enumerate(rows):
        cosines = np.concatenate([shipped @ vectors[n], vectors @ vectors[n]])
        around = [shipped_labels[i] for i in _nearest(cosines[: len(shipped)])]
        heard = row.owner is None and not _claimed_from(row.label, around)
        own = [other is row or (row.owner == other.owner and not heard) for other in rows]
        cosines[len(shipped) :][own] = -1.0
        nearest = _nearest(cosines)
        agree = [row.label in (shipped_labels[i] if i < len(shipped) else (rows[i - len(shipped)].label,)) for i in nearest]
        for_it, all_of_it = weights[nearest][agree].sum(), weights[nearest].sum()
        found[n] = for_it >= all_of_it / 2
    return found


def _nearest(cosines: NDArray[np.float32]) -> NDArray[np.int64]:
    found = np.argsort(-cosines)[:NEIGHBOURS]
    return found[cosines[found] >= REACH]


def _claimed_from(label: str, around: Sequence[frozenset[str]]) -> bool:
    """Whether most of the labels `around` are those of other experts."""
    return sum(label not in labels and OUT_OF_SCOPE not in labels for labels in around) > len(around) / 2
