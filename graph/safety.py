"""What must not wait: rules of the experts, recognised by a classifier that learns from their examples.

Kernel ridge regression on the embeddings (see `routers.votes`), with one class for each rule and one for everything else: the harmless
examples of all rules, and what the router learns from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from core.types import OUT_OF_SCOPE
from experts.discovery import Expert, SafetyRule
from graph.policy import Policy
from graph.routers.saved import data_hash, read_router, write_router
from graph.routers.votes import Floats32, distrust_of, learn, tally
from retrieval.encoder import Vectors

KIND = "safety"
SHARPNESS, RIDGE = 0.7, 0.03
ELSEWHERE, OWN = 2_000, 100
"""So many out-of-scope texts, and so many of each expert's own, stand for everything else: those that lie nearest to an urgent example.
With all of them the fit takes minutes and misses more."""


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that applies. `score`, 0 to 1: at one half as much speaks for the rule as against it."""

    rule: SafetyRule
    expert: str
    score: float


def urgent(match: Match | None) -> dict[str, str | None]:
    """What a turn keeps of it: the rule's name, which rules of several experts may share, and the notice, which is this one's."""
    return {"safety": match.rule.name, "notice": match.rule.notice} if match else {"safety": None, "notice": None}


class SafetyRules:
    """All rules of all experts. `fit` or `load` it before it can `match`."""

    def __init__(self, experts: dict[str, Expert]) -> None:
        self._rules = [(rule, e.name) for e in experts.values() for rule in e.card.safety]
        self._class = {text: len(self._rules) for rule, _ in self._rules for text in rule.harmless}
        self._class |= {text: n for n, (rule, _) in enumerate(self._rules) for text in rule.examples}
        self._anchors: Vectors = np.zeros((0, 0), np.float32)
        self._votes: Floats32 = np.zeros((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self._rules)

    def data(self, examples: str) -> str:
        """Changes whenever what is learnt from does, or how. `examples`: what changes whenever the router's do."""
        return data_hash(list(self._class), [*map(str, self._class.values()), examples, f"{SHARPNESS} {RIDGE} {ELSEWHERE} {OWN}"])

    def fit(self, encode: Callable[[Sequence[str]], Vectors], texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Learn from the rules' examples, and from `texts` and `labels`, the router's: a text that is a rule's counts as that alone.

        `encode`: texts to unit vectors, shape (n, dimensions).
        """
        elsewhere = {text: label for text, label in zip(texts, labels, strict=True) if text not in self._class}
        known, others = encode(list(self._class)), encode(list(elsewhere))
        classes = np.array(list(self._class.values()))
        others = others[_nearest((others @ known[classes < len(self)].T).max(axis=1), list(elsewhere.values()))]
        vectors = np.concatenate([known, others])
        classes = np.concatenate([classes, np.full(len(others), len(self))])
        targets = np.where(classes[:, None] == np.arange(len(self) + 1), 1.0, -1.0)
        found = learn("kernel", vectors, targets, distrust_of(targets), SHARPNESS, RIDGE)
        self._anchors, self._votes = found.anchors, found.votes
        return self

    def match(self, vector: Vectors, policy: Policy) -> Match | None:
        """The likeliest rule for a question's vector, shape (dimensions,), if it scores at least the policy's `safety_at`."""
        if not self._rules:
            return None
        *of_rules, of_none = tally("kernel", vector[None] @ self._anchors.T, self._votes, SHARPNESS)[0]
        n = int(np.argmax(of_rules))
        score = float(np.clip(0.5 + (of_rules[n] - of_none) / 4, 0, 1))
        return Match(*self._rules[n], score) if score >= policy.safety_at else None

    def save(self, folder: Path, encoder: str) -> None:
        """Write what was learnt. `encoder`: its fingerprint. Raises IndexFault."""
        about = {"kind": KIND, "encoder": encoder, "labels": [rule.name for rule, _ in self._rules]}
        write_router(folder, about, {"anchors": self._anchors, "votes": self._votes})

    def load(self, folder: Path, encoder: str) -> Self:
        """Open what `save` wrote. Raises IndexFault when it is missing, broken, or of another encoder."""
        arrays = read_router(folder, KIND, encoder)[1]
        self._anchors, self._votes = arrays["anchors"], arrays["votes"]
        return self


def _nearest(cosines: Vectors, labels: Sequence[str]) -> list[int]:
    """Which of the other texts stand for everything else, by their cosines to the nearest urgent example."""
    left = {label: ELSEWHERE if label == OUT_OF_SCOPE else OWN for label in labels}
    chosen = []
    for n in np.argsort(-cosines).tolist():
        if left[labels[n]]:
            left[labels[n]] -= 1
            chosen.append(n)
    return chosen
