"""What must not wait: rules of the experts, matched by similarity to their example questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from experts.discovery import Expert, SafetyRule
from graph.policy import Policy
from retrieval.encoder import Vectors


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that applies. `similarity`: cosine to its nearest example."""

    rule: SafetyRule
    expert: str
    similarity: float


class SafetyRules:
    """All rules of all experts."""

    def __init__(self, experts: dict[str, Expert], encode: Callable[[Sequence[str]], Vectors], background: Sequence[str]) -> None:
        """`background`: out-of-scope examples.

        A question that lies among them, or among the experts' own questions, which ask for knowledge, is not about a rule.
        """
        self._rules = [(rule, e.name) for e in experts.values() for rule in e.card.safety]
        groups: list[Sequence[str]] = [rule.examples for rule, _ in self._rules]
        groups.append([text for rule, _ in self._rules for text in rule.harmless])
        groups += [background, [item.question for e in experts.values() for item in e.questions("train")]] if self._rules else [(), ()]
        vectors = encode([text for group in groups for text in group])
        *self._examples, self._harmless, elsewhere, ordinary = np.split(vectors, np.cumsum([len(group) for group in groups])[:-1])
        self._backgrounds = (elsewhere, ordinary)

    def match(self, vector: Vectors, policy: Policy) -> Match | None:
        """The rule whose examples lie nearest to the question, when they are near enough, and nearer than the harmless ones."""
        if not self._rules:
            return None
        best = [_nearness(examples, vector) for examples in self._examples]
        n = int(np.argmax(best))
        harmless, background = _nearness(self._harmless, vector), max(_nearness(texts, vector) for texts in self._backgrounds)
        if best[n] < policy.safety_at or best[n] < harmless or best[n] < background - policy.safety_background:
            return None
        rule, expert = self._rules[n]
        return Match(rule, expert, best[n])


def _nearness(examples: Vectors, vector: Vectors) -> float:
    """Mean cosine of the two nearest examples: one odd example decides nothing alone."""
    return float(np.sort(examples @ vector)[-2:].mean()) if len(examples) else -1.0
