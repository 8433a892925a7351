"""Marks of answers: is the fact there, is the right passage cited, does the text stand on what it cites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import Rows
from evaluation.results import Measure, average


@dataclass(frozen=True, slots=True)
class Marked:
    """One question's answer, marked. `found`: the right passage (or document) is among the first five.

    `cited_share`, `groundedness` and `confidence` are in [0, 1]; the first two are None where nothing was answered.
    """

    expert: str
    text: str
    key_fact: bool
    found: bool
    right_expert: bool = True
    answered: bool = True
    right_citations: int = 0
    citations: int = 0
    cited_share: float | None = None
    groundedness: float | None = None
    confidence: float = 0.0
    outcome: str = ""
    seconds: float = 0.0


def facts(marked: Sequence[Marked]) -> dict[str, Measure]:
    """`key_fact` and `r@5`, of all and of each expert."""
    aspects: dict[str, Callable[[Marked], bool]] = {"key_fact": lambda m: m.key_fact, "r@5": lambda m: m.found}
    return {
        f"{metric}{suffix}": average([of(m) for m in rows]) for metric, of in aspects.items() for suffix, rows in _by_expert(marked).items()
    }


def citing(marked: Sequence[Marked]) -> dict[str, Measure]:
    """`citation_precision`, `citation_recall` and `groundedness`, of all and of each expert."""
    found = {}
    for suffix, rows in _by_expert(marked).items():
        found[f"citation_precision{suffix}"] = Measure(len(rows), _precision(rows))
        found[f"citation_recall{suffix}"] = average([m.cited_share for m in rows if m.cited_share is not None])
        found[f"groundedness{suffix}"] = average([m.groundedness for m in rows if m.groundedness is not None])
    return found


def _precision(marked: Sequence[Marked]) -> Callable[[Rows], float | None]:
    numbers = np.array([(m.right_citations, m.citations) for m in marked])

    def precision(rows: Rows) -> float | None:
        right, total = numbers[rows].sum(axis=0)
        return float(right / total) if total else None

    return precision


def _by_expert(marked: Sequence[Marked]) -> dict[str, list[Marked]]:
    """What a metric's name ends in, and the answers it is over: all of them, then those of each expert."""
    names = [name for name in dict.fromkeys(m.expert for m in marked) if name]
    return {"": list(marked)} | {f".{name}": [m for m in marked if m.expert == name] for name in names}
