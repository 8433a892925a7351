"""The suite `confidence`: is an answer as often right as its confidence says, and are the right ones told from the wrong ones.

With a file of judged responses, `ResponseConfidence` is fitted on `--train` or, without it, by cross-validation. Without a file, the
answer confidence in use is judged on the experts' `test` questions in three kinds of cases: as they are, with their document withheld, and
asked of the wrong expert (`evaluation.cases`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from evaluation.cases import cases
from evaluation.data import Judged, read_judged
from evaluation.encoding import RememberingEncoder
from evaluation.metrics import Floats, Ints, Rows, auroc, ece, mean, mean_defined, reliability, risk_at, risk_coverage
from evaluation.response_confidence import ResponseConfidence
from evaluation.results import Measures, Progress, Report, Result, result, silent
from evaluation.rows import Mapped
from evaluation.splits import Predict, Split, fold_numbers, folds, held_out, left_out, out_of_sample, within_folds
from graph.response_signals import Responded
from graph.services import Services

CONFIDENCE, BEFORE = "confidence", "before-answer"
LOGPROBS, LENGTH, RANDOM = "logprob-mean", "length", "random"
OWN_OR_WRONG = "own+wrong-expert"
SURE = 0.5
"""Confidence from which on an answer is taken for right, for `accuracy`."""


@dataclass(frozen=True, slots=True)
class Sure:
    """P(right) of each row, in [0, 1], by one system."""

    name: str
    confidence: Floats
    seconds: Sequence[float] = ()
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is judged: whether each row is right, the values it is reported by, how it is shown among the wrong items, and its fold."""

    right: NDArray[np.bool_]
    groups: list[list[str]]
    shown: list[dict[str, object]]
    fold_of: Ints
    notes: list[str] = field(default_factory=list)


def evaluate(
    services: Services,
    command: str,
    data: Path | None = None,
    *,
    train: Path | None = None,
    group: str | None = None,
    mapping: Mapped | None = None,
    progress: Progress = silent,
) -> Report:
    """Judge the confidence. Raises InputError for files that cannot be used, ModelError when no model answers."""
    if data is None:
        return _own(services, command, progress)
    judged = read_judged(data, mapping or {}, group)
    learnt = read_judged(train, mapping or {}, group) if train else []
    rows = [*judged, *learnt]
    splits = held_out(judged, learnt, train) if train else folds(judged, data)
    services.encoder.encode(["The first text loads the model."])
    advance = progress("Fitting and judging", len(judged))
    said = [_response_confidence(RememberingEncoder(services.encoder, progress), rows, splits, advance)]
    if any(row.token_logprobs for row in judged):
        said.append(Sure(LOGPROBS, np.array([_mean_token(row) for row in judged]), baseline=True))
    said.append(Sure(LENGTH, _length(rows, splits), baseline=True))
    shown: list[dict[str, object]] = [{"prompt": row.prompt, "response": row.response} for row in judged]
    notes = [note] if (note := left_out(splits, len(rows))) else []
    right, groups = np.array([r.correct for r in judged]), [r.groups for r in judged]
    return judge(Outcomes(right, groups, shown, fold_numbers(splits), notes), said, command)


def _response_confidence(
    encoder: RememberingEncoder, rows: Sequence[Judged], splits: Sequence[Split], advance: Callable[[int], None]
) -> Sure:
    responded = [Responded(row.prompt, row.response, row.token_logprobs) for row in rows]

    def fit(chosen: Ints) -> Predict:
        model = ResponseConfidence(encoder).fit([responded[i] for i in chosen], [rows[i].correct for i in chosen])
        return lambda row: float(model.predict_proba([responded[row]])[0])

    return Sure(CONFIDENCE, *out_of_sample(splits, fit, encoder, advance))


def _mean_token(row: Judged) -> float:
    """The geometric mean of the tokens' probabilities; 0 for a response without tokens."""
    return math.exp(min(0.0, sum(row.token_logprobs) / len(row.token_logprobs))) if row.token_logprobs else 0.0


def _length(rows: Sequence[Judged], splits: Sequence[Split]) -> Floats:
    """P(right) by the number of words alone."""
    from sklearn.linear_model import LogisticRegression

    words = np.array([[math.log1p(len(row.response.split()))] for row in rows])
    right = np.array([row.correct for row in rows])
    found = np.zeros(sum(len(split.judge) for split in splits))
    for split in splits:
        found[split.judge] = LogisticRegression().fit(words[split.fit], right[split.fit]).predict_proba(words[split.judge])[:, 1]
    return found


def _own(services: Services, command: str, progress: Progress) -> Report:
    total = sum(len(expert.questions("test")) for expert in services.experts.values())
    if not total:
        raise InputError("Expected questions with the split `test` in an expert's questions.csv; found none. Or pass a file.")
    advance = progress("Answering in three ways", total)
    found = cases(services, ["test"], lambda: advance(1))
    confidence = services.confidence
    said = [
        Sure(CONFIDENCE, np.array([confidence.after.probability(case.parts) for case in found])),
        Sure(BEFORE, np.array([confidence.before.probability(case.parts) for case in found])),
    ]
    shown: list[dict[str, object]] = [{"question": c.question, "asked": c.expert, "group": c.kind, "answer": c.text} for c in found]
    groups = [[c.kind, c.expert, *([OWN_OR_WRONG] if c.kind in OWN_OR_WRONG.split("+") else [])] for c in found]
    return judge(Outcomes(np.array([c.right for c in found]), groups, shown, np.zeros(len(found), np.int64)), said, command)


def judge(outcomes: Outcomes, said: Sequence[Sure], command: str) -> Report:
    """Compare systems, the first of which is the one in question, and `random`. The wrong items: its surest wrong answers first."""
    first, right = said[0], outcomes.right
    # Drawing lots, on average.
    said = [*said, Sure(RANDOM, np.full(len(right), 0.5), baseline=True)]
    alone = next((s.confidence for s in said if s.name == LOGPROBS), None)
    wrong = sorted(np.flatnonzero(~right & (first.confidence >= SURE)).tolist(), key=lambda n: (-first.confidence[n], n))
    return Report(
        "confidence",
        len(right),
        command,
        ["auroc", "accuracy"],
        [_result(s, outcomes, None if s.baseline else alone) for s in said],
        [outcomes.shown[n] | {"confidence": round(float(first.confidence[n]), 4)} for n in wrong],
        reliability=reliability(first.confidence, right),
        risk_coverage={s.name: risk_coverage(s.confidence, right) for s in said},
        notes=outcomes.notes,
    )


def _result(said: Sure, outcomes: Outcomes, alone: Floats | None) -> Result:
    """`alone`: the confidence by the mean log-probability alone; `auroc_gain` is what the system has over it."""
    right, confidence = outcomes.right, said.confidence

    def apart(scores: Floats, rows: Rows) -> float | None:
        parts = within_folds(rows, outcomes.fold_of)
        return mean_defined(auroc(scores[part[right[part]]], scores[part[~right[part]]]) for part in parts)

    def measured(rows: Rows) -> dict[str, float | None]:
        curve, area = risk_coverage(confidence[rows], right[rows]), apart(confidence, rows)
        found = {
            "auroc": area,
            "accuracy": mean((confidence[rows] >= SURE) == right[rows]),
            "risk@50": risk_at(curve, 0.5),
            "risk@80": risk_at(curve, 0.8),
        }
        if alone is not None:
            known = apart(alone, rows)
            found["auroc_gain"] = None if area is None or known is None else area - known
        return found

    # Resampling rows makes calibration look worse than it is, so ece has no bootstrap interval.
    plain: dict[str, float | None] = {"ece": ece(confidence, right), "right": mean(right)}
    for value in sorted({g for groups in outcomes.groups for g in groups}):
        has = np.array([value in groups for groups in outcomes.groups])
        plain |= {f"auroc.{value}": apart(confidence, np.flatnonzero(has)), f"ece.{value}": ece(confidence[has], right[has])}
        plain[f"right.{value}"] = mean(right[has])
    return result(said.name, Measures(len(right), measured), plain=plain, seconds=said.seconds, baseline=said.baseline)
