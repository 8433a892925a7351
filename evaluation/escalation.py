"""The suite `escalation`: which prompts need the superior model, judged on recorded scores of two models.

Systems rank the rows by how much they need the superior model: the kinds of difficulty router, which see the prompt only, and
`answer-seen`, which also sees the inferior model's response. Each is fitted on `--train` or, without it, by cross-validation. The curve
of cost and quality over all thresholds gives apgr, cpt50 and cpt80; `strong_share` and `quality` are those of the policy's threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from core.types import Tier
from evaluation.data import Pair, read_pairs
from evaluation.encoding import RememberingEncoder
from evaluation.metrics import Curve, Floats, Ints, Rows, apgr, auroc, cost_quality, cpt, mean, mean_curve, mean_defined
from evaluation.response_confidence import ResponseConfidence
from evaluation.results import Measures, Progress, Report, Result, result, silent
from evaluation.rows import Mapped
from evaluation.splits import Predict, Split, divisions, fold_numbers, held_out, left_out, out_of_sample, within_folds
from graph.difficulty import DifficultyRouter
from graph.policy import Policy
from graph.response_signals import Responded
from graph.services import Services

ANSWER_SEEN, BASELINE = "answer-seen", "length"
RANKED = ("apgr", "cpt50", "cpt80", "auroc")


@dataclass(frozen=True, slots=True)
class Decided:
    """What a system said of each row.

    needed: higher is more in need of the superior model, shape (rows,), or (divisions, rows) where it was fitted on several divisions into
    folds; None where it does not rank the rows.
    sent: probability in [0, 1] with which it sends the row to the superior model: 0 or 1, but for the random baseline and for the mean
    over divisions.
    """

    name: str
    needed: Floats | None
    sent: Floats
    seconds: Sequence[float] = ()
    baseline: bool = False


def evaluate(
    services: Services,
    command: str,
    data: Path,
    *,
    train: Path | None = None,
    group: str | None = None,
    kinds: Sequence[str] = (),
    mapping: Mapped | None = None,
    progress: Progress = silent,
) -> Report:
    """Judge difficulty routers of `kinds`. Raises InputError for files that cannot be used, UnknownNameError for an unknown kind."""
    pairs = read_pairs(data, mapping or {}, group)
    learnt = read_pairs(train, mapping or {}, group) if train else []
    rows = [*pairs, *learnt]
    divided = [held_out(pairs, learnt, train)] if train else divisions(pairs, data)
    notes = [note] if (note := left_out(divided[0], len(rows))) else []
    if len(divided) > 1:
        notes.append(f"Few rows: cross-validated {len(divided)} times, each time divided otherwise; the mean.")
    services.encoder.encode(["The first text loads the model."])
    encoder = RememberingEncoder(services.encoder, progress)
    said = [
        _difficulty(services, kind, encoder, rows, divided, progress(f"Fitting and judging ({kind})", len(divided) * len(pairs)))
        for kind in dict.fromkeys(kinds or quick())
    ]
    if all(row.weak_response is not None for row in rows):
        advance = progress(f"Fitting and judging ({ANSWER_SEEN})", len(divided) * len(pairs))
        said.append(_answer_seen(encoder, rows, divided, services.policy, advance))
    return judge(pairs, said, command, np.stack([fold_numbers(splits) for splits in divided]), notes)


def quick() -> list[str]:
    """The kinds that are fitted where none is named: a transformer takes minutes a fold, a chat model costs money."""
    return ["length", "logistic", *(["xgboost"] if find_spec("xgboost") else [])]


def _difficulty(
    services: Services,
    kind: str,
    encoder: RememberingEncoder,
    rows: Sequence[Pair],
    divided: Sequence[Sequence[Split]],
    advance: Callable[[int], None],
) -> Decided:
    # The chat model that judges is the one whose prompts are judged: a dearer one would cost more than it saves.
    settings: dict[str, Any] = {"model": services.tiers(None)[Tier.INFERIOR], "ask": services.ask} if kind == "llm" else {}
    policy = services.policy

    def fit(chosen: Ints) -> Predict:
        learnt = [rows[i] for i in chosen]
        weak, strong = (np.array(scores) for scores in ([r.weak_score for r in learnt], [r.strong_score for r in learnt]))
        router = DifficultyRouter(kind, encoder, **settings).fit([r.prompt for r in learnt], weak, strong)
        return lambda row: float(router.predict_proba([rows[row].prompt])[0])

    needed, seconds = _in_each(divided, fit, encoder, advance)
    sent = (needed >= policy.superior_at) & (policy.superior_at < 1)
    return Decided(kind, needed, sent.mean(axis=0), seconds, baseline=kind == BASELINE)


def _answer_seen(
    encoder: RememberingEncoder, rows: Sequence[Pair], divided: Sequence[Sequence[Split]], policy: Policy, advance: Callable[[int], None]
) -> Decided:
    responded = [Responded(row.prompt, row.weak_response or "") for row in rows]

    def fit(chosen: Ints) -> Predict:
        learnt = [responded[i] for i in chosen]
        model = ResponseConfidence(encoder).fit(learnt, [rows[i].weak_score >= rows[i].strong_score for i in chosen])
        return lambda row: float(model.predict_proba([responded[row]])[0])

    acceptable, seconds = _in_each(divided, fit, encoder, advance)
    return Decided(ANSWER_SEEN, 1 - acceptable, (acceptable < policy.accept_at).mean(axis=0), seconds)


def _in_each(
    divided: Sequence[Sequence[Split]], fit: Callable[[Ints], Predict], encoder: RememberingEncoder, advance: Callable[[int], None]
) -> tuple[Floats, list[float]]:
    """`out_of_sample` in each division: values of shape (divisions, rows), and the seconds of the first."""
    found = [out_of_sample(splits, fit, encoder, advance) for splits in divided]
    return np.stack([values for values, _ in found]), found[0][1]


def judge(pairs: Sequence[Pair], said: Sequence[Decided], command: str, fold_of: Ints, notes: Sequence[str] = ()) -> Report:
    """Compare the systems, and the baselines, on rows of known scores. The wrong items are those of the best system.

    `fold_of`: the number of each row's fold, shape (rows,) or (divisions, rows); rows are ranked within their fold.
    """
    fold_of = np.atleast_2d(fold_of)
    weak, strong = np.array([p.weak_score for p in pairs]), np.array([p.strong_score for p in pairs])
    said = [*said, *_baselines(weak, strong)]
    every = np.arange(len(pairs))
    results = [_result(s, pairs, weak, strong, fold_of) for s in said]
    best = max(zip(said, results, strict=True), key=lambda s: (not s[1].baseline, s[1].metrics["apgr"] or 0.0))[0]
    return Report(
        "escalation",
        len(pairs),
        command,
        ["apgr", "auroc"],
        results,
        _wrong(best, pairs),
        cost_quality={s.name: _curve(_ranked(s.needed, every, fold_of), weak, strong) for s in said if s.needed is not None},
        notes=list(notes),
    )


def _baselines(weak: Floats, strong: Floats) -> list[Decided]:
    """What needs no fitting. `random` is what drawing lots gives on average; `oracle` knows the scores."""
    none, every = np.zeros(len(weak)), np.ones(len(weak))
    return [
        Decided("random", none, every / 2, baseline=True),
        Decided("always-inferior", None, none, baseline=True),
        Decided("always-superior", None, every, baseline=True),
        Decided("oracle", strong - weak, (strong > weak).astype(float), baseline=True),
    ]


def _ranked(needed: Floats, rows: Rows, fold_of: Ints) -> list[tuple[Rows, Floats]]:
    """The rows that are ranked together, fold after fold and division after division, each with its `needed`."""
    of_division = np.broadcast_to(needed, fold_of.shape)
    return [(part, own[part]) for own, folds in zip(of_division, fold_of, strict=True) for part in within_folds(rows, folds)]


def _curve(ranked: Sequence[tuple[Rows, Floats]], weak: Floats, strong: Floats) -> Curve:
    return mean_curve([cost_quality(needed, weak[part], strong[part]) for part, needed in ranked], [len(part) for part, _ in ranked])


def _result(said: Decided, pairs: Sequence[Pair], weak: Floats, strong: Floats, fold_of: Ints) -> Result:
    gained, better = weak + said.sent * (strong - weak), strong > weak
    of_value = {value: np.array([value in p.groups for p in pairs]) for value in sorted({g for p in pairs for g in p.groups})}

    def measured(rows: Rows) -> dict[str, float | None]:
        decided = {"strong_share": mean(said.sent[rows]), "quality": mean(gained[rows])}
        if said.needed is None:
            return dict.fromkeys(RANKED) | decided
        parts = _ranked(said.needed, rows, fold_of)
        curve = _curve(parts, weak, strong)
        apart = mean_defined(auroc(needed[better[part]], needed[~better[part]]) for part, needed in parts)
        ranked = dict(zip(RANKED, (apgr(curve), cpt(curve, 0.5), cpt(curve, 0.8), apart), strict=True))
        needed = said.needed.reshape(-1, len(pairs)).mean(axis=0)
        per_value = {f"apgr.{value}": _apgr_of(needed, weak, strong, rows[has[rows]]) for value, has in of_value.items()}
        return ranked | decided | per_value

    return result(said.name, Measures(len(pairs), measured), seconds=said.seconds, baseline=said.baseline)


def _apgr_of(needed: Floats, weak: Floats, strong: Floats, rows: Rows) -> float | None:
    return apgr(cost_quality(needed[rows], weak[rows], strong[rows])) if len(rows) else None


def _wrong(said: Decided, pairs: Sequence[Pair]) -> list[dict[str, object]]:
    """The costliest mistakes: left to the inferior model though the superior one is better, those it was surest of first."""
    needed = np.atleast_2d(said.sent if said.needed is None else said.needed).mean(axis=0)
    missed = [n for n, p in enumerate(pairs) if p.strong_score > p.weak_score and said.sent[n] < 0.5]
    return [
        {
            "prompt": pairs[n].prompt,
            "system": said.name,
            "needed": round(float(needed[n]), 4),
            "weak_score": pairs[n].weak_score,
            "strong_score": pairs[n].strong_score,
        }
        for n in sorted(missed, key=lambda n: (needed[n], n))
    ]
