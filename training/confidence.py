"""Fit the confidence: P(the answer is acceptable) before and after the inferior model has answered.

Three kinds of cases, so that the numbers mean something when the evidence is not there: the experts' own questions; the same questions
with their document withheld; and questions asked of the wrong expert. An answer is acceptable when it holds the key fact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.types import Hit, Tier
from experts.discovery import Expert, Item
from graph.citations import cite
from graph.confidence import AFTER, BEFORE, Confidence, Logistic, after_answer, before_answer, says_nothing
from graph.prompts import grounded
from graph.services import Services
from llms.call import stream
from retrieval.text import contains_key

if TYPE_CHECKING:
    from rich.table import Table

STRENGTH = 1.0
KINDS = ("own", "withheld", "wrong-expert")


@dataclass(frozen=True, slots=True)
class Case:
    """One answered question. kind: own, withheld or wrong-expert."""

    kind: str
    parts: dict[str, float]
    right: bool


def cases(services: Services, splits: Sequence[str], progress: Callable[[], None] = lambda: None) -> list[Case]:
    """Answer the questions of `splits` with the inferior model in all three ways."""
    return [
        case
        for expert in services.experts.values()
        for item in expert.questions(*splits)
        for case in _three(services, expert, item, progress)
    ]


def _three(services: Services, expert: Expert, item: Item, progress: Callable[[], None]) -> Iterable[Case]:
    k, vector = expert.card.passages, services.encoder.encode([item.question])[0]
    router = services.router()
    scores = dict(zip(router.labels, map(float, router.left_out_proba([item.question])[0]), strict=True))
    found = services.index(expert.name).search(item.question, vector, 4 * k)
    yield _case(services, "own", expert, item, scores, found[:k])
    yield _case(services, "withheld", expert, item, scores, [h for h in found if h.passage.document != item.document][:k])
    for other in services.experts.values():
        if other.name != expert.name:
            yield _case(services, "wrong-expert", other, item, scores, services.index(other.name).search(item.question, vector, k))
    progress()


def _case(services: Services, kind: str, expert: Expert, item: Item, scores: Mapping[str, float], hits: list[Hit]) -> Case:
    spec = services.tiers(expert.name)[Tier.INFERIOR]
    messages = grounded(expert.prompt, item.question, hits, [])
    text = "".join(stream(services.model(spec), spec, Tier.INFERIOR, messages, settings=services.settings))
    parts = before_answer(item.question, expert.name, scores, hits)
    parts |= after_answer(item.question, text, hits, cite(text, hits), services.encoder, services.reader)
    return Case(kind, parts, not says_nothing(text) and contains_key(text, item.key))


def fit(train: Sequence[Case]) -> Confidence:
    """Both regressions, unweighted: their probabilities are calibrated for the mixture of the cases."""
    return Confidence(_logistic(train, BEFORE), _logistic(train, AFTER))


def _logistic(rows: Sequence[Case], names: Sequence[str]) -> Logistic:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = np.array([[row.parts[name] for name in names] for row in rows])
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=STRENGTH, max_iter=2000).fit(scaler.transform(features), [row.right for row in rows])
    weights = model.coef_[0] / scaler.scale_
    return Logistic(
        dict(zip(names, np.round(weights, 6).tolist(), strict=True)), round(float(model.intercept_[0] - (weights * scaler.mean_).sum()), 6)
    )


def measure(found: Confidence, rows: Sequence[Case]) -> dict[str, float]:
    """AUROC and ECE (15 bins of equal mass) of both regressions."""
    from evaluation.metrics import auroc, ece

    right = np.array([row.right for row in rows])
    numbers: dict[str, float | None] = {}
    for name, model in (("before", found.before), ("after", found.after)):
        p = np.array([model.probability(row.parts) for row in rows])
        numbers |= {f"{name}_auroc": auroc(p[right], p[~right]), f"{name}_ece": ece(p, right)}
    return {name: value for name, value in numbers.items() if value is not None}


def threshold_table(found: Confidence, rows: Sequence[Case]) -> Table:
    """For each threshold on the confidence: the share of answers kept, per kind of case, and how many of the kept ones are right."""
    from rich.table import Table

    table = Table("at least", *(f"{kind}: kept" for kind in KINDS), "right among kept", title="Confidence after the answer")
    p = np.array([found.after.probability(row.parts) for row in rows])
    right, kinds = np.array([row.right for row in rows]), np.array([row.kind for row in rows])
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        kept = p >= threshold
        shares = [f"{kept[kinds == kind].mean():.2f}" for kind in KINDS]
        table.add_row(f"{threshold:.1f}", *shares, f"{right[kept].mean():.2f}" if kept.any() else "-")
    return table


def write(found: Confidence, numbers: Mapping[str, float], data: str, path: Path) -> None:
    """Write the weights, with what they were made of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    about = {**asdict(found), "numbers": {k: round(v, 4) for k, v in numbers.items()}, "data": data}
    fresh.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)
