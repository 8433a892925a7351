"""Fit the confidence: P(the answer is acceptable) before and after the inferior model has answered, on `evaluation.cases`.

The cases are weighed as MIXTURE says, since a probability is only right for a mixture of questions: as many that the documents answer as
were put to the wrong expert, and a few that belong to the expert but are not in its documents. Answers with altered numbers are judged, but
not learnt from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.files import write_json
from core.types import Tier
from evaluation.cases import ALTERED, KINDS, Case
from graph.confidence import AFTER, BEFORE, EXTRA_AFTER, EXTRA_BEFORE, Confidence, Logistic
from graph.nodes.expert import search
from graph.nodes.route import find_route
from graph.nodes.superior import OWN, other_hits
from graph.prompts import grounded
from graph.services import Services
from llms.prices import CHARS_A_TOKEN, cost_usd
from training.thresholds import Calibration

if TYPE_CHECKING:
    from rich.table import Table

STRENGTH = 1.0
MIXTURE = {"own": 1.0, "withheld": 0.1, "wrong-expert": 1.0}
FOLDS = 5
HELPS = 0.002
"""An extra signal is weighed when it lowers the cross-validated loss by this, in nats a case: less is chance."""
SHARES = tuple(n / 20 for n in range(1, 21))
Floats = NDArray[np.float64]


def fit(train: Sequence[Case]) -> Confidence:
    """Both regressions, on cases of FOLDS questions or more; their probabilities are calibrated for MIXTURE. Raises InputError."""
    return Confidence(_fitted(train, BEFORE, EXTRA_BEFORE), _fitted(train, AFTER, EXTRA_AFTER))


def shares(found: Confidence, rows: Sequence[Case]) -> list[float]:
    """For each of SHARES, the confidence that this share of the questions with the right documents reaches."""
    p = [found.after.probability(row.parts) for row in rows if row.kind == "own"]
    return [round(float(np.quantile(p, 1 - share)), 6) for share in SHARES]


def _fitted(rows: Sequence[Case], always: Sequence[str], extra: Sequence[str]) -> Logistic:
    """All of `always`, and one after the other those of `extra` that every case has and that help."""
    chosen, left = list(always), [name for name in extra if all(name in row.parts for row in rows)]
    best = _left_out_loss(rows, chosen)
    while left:
        losses = {name: _left_out_loss(rows, [*chosen, name]) for name in left}
        name = min(losses, key=lambda n: losses[n])
        if losses[name] > best - HELPS:
            break
        best = losses[name]
        chosen.append(name)
        left.remove(name)
    neutral = {name: round(float(np.average([r.parts[name] for r in rows], weights=_weights(rows))), 6) for name in chosen if name in extra}
    return _logistic(rows, chosen, neutral)


def _left_out_loss(rows: Sequence[Case], names: Sequence[str]) -> float:
    """Weighted mean cross-entropy over folds; all cases of a question stay on one side."""
    from sklearn.model_selection import GroupKFold

    questions = {question: n for n, question in enumerate(dict.fromkeys(row.question for row in rows))}
    groups = [questions[row.question] for row in rows]
    total = 0.0
    for learn, judge in GroupKFold(FOLDS, shuffle=True, random_state=0).split(rows, groups=groups):
        model = _logistic([rows[i] for i in learn], names, {})
        held = [rows[i] for i in judge]
        p = np.array([model.probability(row.parts) for row in held])
        right = np.array([row.right for row in held])
        total += float((_weights(rows)[judge] * -np.log(np.where(right, p, 1 - p))).sum())
    return total / float(_weights(rows).sum())


def _logistic(rows: Sequence[Case], names: Sequence[str], neutral: Mapping[str, float]) -> Logistic:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = np.array([[row.parts[name] for name in names] for row in rows])
    weights, right = _weights(rows), [row.right for row in rows]
    if all(right) or not any(right):
        # Of all cases, or of those that are left when a fold is held out.
        raise InputError(
            f"Expected right and wrong answers to fit the confidence on; {len(right)} of them are all {'right' if right[0] else 'wrong'}. "
            "Add questions with the split `dev`, or see that their `key` is what the documents say."
        )
    scaler = StandardScaler().fit(features, sample_weight=weights)
    model = LogisticRegression(C=STRENGTH, max_iter=2000).fit(scaler.transform(features), right, sample_weight=weights)
    slopes = model.coef_[0] / scaler.scale_
    intercept = round(float(model.intercept_[0] - (slopes * scaler.mean_).sum()), 6)
    return Logistic(dict(zip(names, np.round(slopes, 6).tolist(), strict=True)), intercept, dict(neutral))


def _weights(rows: Sequence[Case]) -> Floats:
    """What each case counts; they sum to the number of cases."""
    n = {kind: sum(row.kind == kind for row in rows) for kind in KINDS}
    raw = np.array([MIXTURE[row.kind] / n[row.kind] for row in rows])
    weights: Floats = raw * len(rows) / raw.sum()
    return weights


def measure(found: Confidence, rows: Sequence[Case]) -> dict[str, float]:
    """AUROC over KINDS; ECE (15 bins of equal mass) over `own` and `wrong-expert`, over `own` alone, and over KINDS.

    `altered_auroc`: how well right answers are told from those with altered numbers, where there are any.
    """
    from evaluation.metrics import auroc, ece

    sure = {kind: np.array([found.after.probability(row.parts) for row in rows if row.kind == kind]) for kind in ("own", ALTERED)}
    right_own = [row.right for row in rows if row.kind == "own"]
    numbers: dict[str, float | None] = {"altered_auroc": auroc(sure["own"][right_own], sure[ALTERED])}
    rows = [row for row in rows if row.kind in KINDS]
    right, kinds = np.array([row.right for row in rows]), np.array([row.kind for row in rows])
    for name, model in (("before", found.before), ("after", found.after)):
        p = np.array([model.probability(row.parts) for row in rows])
        numbers[f"{name}_auroc"] = auroc(p[right], p[~right])
        for what, of in (("", kinds != "withheld"), ("_own", kinds == "own"), ("_all", kinds != "")):
            numbers[f"{name}_ece{what}"] = ece(p[of], right[of])
    return {name: value for name, value in numbers.items() if value is not None}


def calibration(services: Services, rows: Sequence[Case]) -> Calibration:
    """What thresholds are chosen on. The superior model is not asked: its price is that of its passages and of as long an answer."""
    return Calibration(
        np.array([services.confidence.after.probability(row.parts) for row in rows]),
        np.array([row.right for row in rows], bool),
        np.array([np.nan if row.use.cost_usd is None else row.use.cost_usd for row in rows]),
        np.array([_superior_usd(services, row) for row in rows]),
    )


def _superior_usd(services: Services, row: Case) -> float:
    found = find_route(services, row.question, row.expert)
    hits = [*search(services, row.expert, row.question, OWN), *other_hits(services, row.question, found, {})]
    read = sum(len(message.text) for message in grounded(services.expert(row.expert).prompt, row.question, hits, []))
    spec = services.tiers(row.expert)[Tier.SUPERIOR]
    cost = cost_usd(spec, read // CHARS_A_TOKEN, row.use.output_tokens, services.settings.home)
    return math.nan if cost is None else cost


def threshold_table(found: Confidence, rows: Sequence[Case]) -> Table:
    """For each threshold on the confidence: the share of answers kept, per kind of case, and how many of the kept ones are right."""
    from rich.table import Table

    table = Table("at least", *(f"{kind}: kept" for kind in (*KINDS, ALTERED)), "right among kept", title="Confidence after the answer")
    p = np.array([found.after.probability(row.parts) for row in rows])
    right, kinds = np.array([row.right for row in rows]), np.array([row.kind for row in rows])
    told = kinds != ALTERED
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        kept = p >= threshold
        kept_of = [f"{kept[kinds == kind].mean():.2f}" if (kinds == kind).any() else "-" for kind in (*KINDS, ALTERED)]
        table.add_row(f"{threshold:.1f}", *kept_of, f"{right[kept & told].mean():.2f}" if (kept & told).any() else "-")
    return table


def write(found: Confidence, reached: Sequence[float], numbers: Mapping[str, float], data: str, path: Path) -> None:
    """Write the weights, with what they were made of. `reached`: see `shares`."""
    about = {**asdict(found), "shares": list(reached), "numbers": {k: round(v, 4) for k, v in numbers.items()}, "data": data}
    write_json(path, about)
