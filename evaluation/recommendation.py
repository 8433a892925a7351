"""The suite `recommendation`: which of several models to ask, judged on recorded scores of all of them.

Systems are the kinds of recommender, each fitted on `--train` or, without it, by cross-validation. `quality` and `cost` are those of always
taking the model of the highest expected quality; what a system does where money matters is its curve (see `evaluation.tradeoff`).
`best-single` is the model with the highest mean score among the rows that were learnt from; its curve goes over all single models, with
lots drawn between them: RouterBench's zero router. `random` asks any model, `oracle` knows the scores. A model counts in the rows in which
it was measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.types import Tier
from evaluation.encoding import RememberingEncoder
from evaluation.measured import Scored, as_measured, read_scored
from evaluation.metrics import Floats, Ints, Rows, mean
from evaluation.results import Measures, Progress, Report, Result, result, silent
from evaluation.rows import Mapped
from evaluation.splits import Split, folds, held_out, left_out
from evaluation.tradeoff import CLOSE, PER, Choices, Hull, Tradeoff, aiq, best_worth, choices, hull, pick, worths
from graph.recommender import LLM, Measured, Recommender
from graph.scorers import SCORERS
from graph.services import Services
from llms.prices import PriceList

BEST_SINGLE, ORACLE = "best-single", "oracle"
MISSED = 0.5
"""A recommendation is wrong where another model scored so much more."""
SHOWN_FAULTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Advised:
    """What a system expects of each row's models, (rows, models): qualities in any range, and costs in USD, NaN where unknown.

    served: the model of each row, (rows,), that the system would ask as it is served, where that was worked out.
    """

    name: str
    qualities: Floats
    costs: Floats
    seconds: Sequence[float] = ()
    baseline: bool = False
    served: Ints | None = None


def evaluate(
    services: Services,
    command: str,
    data: Path,
    *,
    train: Path | None = None,
    group: str | None = None,
    kinds: Sequence[str] = (),
    prices: PriceList | None = None,
    mapping: Mapped | None = None,
    agree: Callable[[str, Measured], None] = lambda model, judged: None,
    progress: Progress = silent,
) -> Report:
    """Judge recommenders of `kinds`. agree(model, rows) is called before the kind llm asks a model about rows; what it raises ends it.

    Raises InputError for files that cannot be used, UnknownNameError for an unknown kind.
    """
    rows, faults = read_scored([data], mapping or {}, group)
    learnt, more = read_scored([train], mapping or {}, group) if train else ([], [])
    everything = [*rows, *learnt]
    splits = held_out(rows, learnt, train) if train else folds(rows, data)
    measured, notes = as_measured(everything, prices, services.settings.home)
    notes += [note] if (note := left_out(splits, len(everything))) else []
    judged = measured.rows(np.arange(len(rows)))
    asked = services.tiers(None)[Tier.INFERIOR]
    if LLM in kinds:
        agree(asked, judged)
    services.encoder.encode(["The first text loads the model."])
    encoder = RememberingEncoder(services.encoder, progress)
    said = []
    for kind in dict.fromkeys(kinds or quick()):
        advance = progress(f"Fitting and judging ({kind})", len(rows))
        made = [Recommender(kind, encoder, model=asked if kind == LLM else None, ask=services.ask) for _ in splits]
        found = _advised(made, encoder, measured, splits, advance)
        if kind != LLM:  # which would be asked, and paid, four times more
            advance = progress(f"The worth of a dollar ({kind})", len(splits))
            found = replace(found, served=_served(Recommender(kind, encoder), found, everything, measured, splits, data, advance))
        said.append(found)
        notes += unread(made, len(rows))
    return judge(judged, [*said, best_single(measured, splits)], command, notes + _of_faults([*faults, *more]))


def quick() -> list[str]:
    """The kinds that are fitted where none is named: an llm costs money."""
    return [kind for kind in SCORERS if kind != "xgboost" or find_spec("xgboost")]


def unread(recommenders: Sequence[Recommender], calls: int) -> list[str]:
    """What must be said where a model was asked whose replies stated nothing usable."""
    found = sum(each.unparsable for each in recommenders)
    return [f"{LLM}: {found:,} of {calls:,} replies could not be read; the nearest prompts' means stand in for them."] if found else []


def _of_faults(faults: Sequence[str]) -> list[str]:
    """What was left out of the files."""
    more = f" and {len(faults) - SHOWN_FAULTS:,} more" if len(faults) > SHOWN_FAULTS else ""
    return [f"Lines left out: {len(faults):,}{'' if more else '.'} {' '.join(faults[:SHOWN_FAULTS])}{more}"] if faults else []


def _advised(
    recommenders: Sequence[Recommender],
    encoder: RememberingEncoder,
    measured: Measured,
    splits: Sequence[Split],
    advance: Callable[[int], None],
) -> Advised:
    """What a recommender of each split, still to be fitted, says of the rows that it judges."""
    shape = sum(len(split.judge) for split in splits), len(measured.models)
    qualities, costs, seconds = np.zeros(shape), np.zeros(shape), np.zeros(shape[0])
    for recommender, split in zip(recommenders, splits, strict=True):
        recommender.fit(measured.rows(split.fit))
        for row in split.judge.tolist():
            start, saved = time.perf_counter(), encoder.saved
            qualities[row] = recommender.qualities([measured.prompts[row]])[0]
            costs[row] = recommender.costs([measured.prompts[row]])[0]
            seconds[row] = time.perf_counter() - start + encoder.saved - saved
            advance(1)
    return Advised(recommenders[0].kind, qualities, costs, seconds.tolist())


def _served(
    recommender: Recommender,
    said: Advised,
    rows: Sequence[Scored],
    measured: Measured,
    splits: Sequence[Split],
    path: Path,
    advance: Callable[[int], None],
) -> Ints | None:
    """What is chosen at the worth of a dollar that training finds on the rows that were learnt from; None where they are too few."""
    picked = np.zeros(len(said.qualities), np.int64)
    for split in splits:
        learnt, own = measured.rows(split.fit), [rows[n] for n in split.fit.tolist()]
        inner = np.zeros((2, *learnt.scores.shape))
        try:
            for part in folds(own, path):
                fitted, prompts = recommender.fit(learnt.rows(part.fit)), [learnt.prompts[n] for n in part.judge]
                inner[:, part.judge] = fitted.qualities(prompts), fitted.costs(prompts)
        except InputError:
            return None
        worth = best_worth(choices(inner[0], inner[1], learnt.scores, learnt.costs), worths(learnt.costs))
        at, price = split.judge, said.costs[split.judge]
        there = np.isfinite(measured.scores[at])
        picked[at] = pick(said.qualities[at], price if np.isfinite(price).all() else np.zeros(price.shape), there, worth)
        advance(1)
    return picked


def best_single(measured: Measured, splits: Sequence[Split]) -> Advised:
    """The same for every row: the means of the rows that were learnt from."""
    shape = sum(len(split.judge) for split in splits), len(measured.models)
    qualities, costs = np.zeros(shape), np.zeros(shape)
    for split in splits:
        qualities[split.judge], costs[split.judge] = (_column_means(of[split.fit]) for of in (measured.scores, measured.costs))
    return Advised(BEST_SINGLE, qualities, costs, baseline=True)


def _column_means(values: Floats) -> Floats:
    """NaN for a column without values."""
    count = np.isfinite(values).sum(axis=0)
    found: Floats = np.divide(np.nansum(values, axis=0), count, out=np.full(values.shape[1], np.nan), where=count > 0)
    return found


def judge(judged: Measured, said: Sequence[Advised], command: str, notes: Sequence[str] = ()) -> Report:
    """Compare the systems, `best-single` last among them, and the baselines that need no fitting."""
    scores, costs = judged.scores, judged.costs
    said = [*said, Advised(ORACLE, np.nan_to_num(scores), costs, baseline=True)]
    made = {s.name: choices(s.qualities, s.costs, scores, costs) for s in said}
    results = [_result(s, made, judged) for s in said] + [_random(judged)]
    best = max((r for r in results if not r.baseline), key=lambda r: r.metrics["quality"] or 0.0, default=results[0]).name
    every = np.arange(len(scores))
    return Report(
        "recommendation",
        len(scores),
        command,
        ["quality", "aiq"],
        results,
        _wrong(best, made[best], judged),
        tradeoff=Tradeoff({name: _hull(m, every) for name, m in made.items()}, _singles(judged)) if _priced(judged) else None,
        notes=[*notes, f"cost: USD for {PER:,} prompts. cost_to_match: for {BEST_SINGLE}'s quality less {CLOSE}, the share of its cost."],
    )


def _priced(judged: Measured) -> bool:
    return bool(np.isfinite(judged.costs[np.isfinite(judged.scores)]).all())


def _hull(made: Choices, rows: Rows) -> Hull:
    # Counting the rows is a hundred times quicker than taking them, and the bootstrap does this a thousand times.
    weights = np.bincount(rows, minlength=made.scores.shape[1]) / len(rows)
    return hull(made.costs @ weights, made.scores @ weights)


def _singles(judged: Measured) -> dict[str, tuple[float, float]]:
    costs, scores = _column_means(judged.costs), _column_means(judged.scores)
    return dict(zip(judged.models, zip(costs.tolist(), scores.tolist(), strict=True), strict=True))


def _result(said: Advised, made: dict[str, Choices], judged: Measured) -> Result:
    own, single, oracle = made[said.name], made[BEST_SINGLE], made[ORACLE]
    priced = _priced(judged)
    every = np.arange(len(judged.prompts))
    chosen = None if said.served is None else (judged.scores[every, said.served], judged.costs[every, said.served])
    usual_costs = _column_means(judged.costs)
    low, high = float(np.nanmin(usual_costs)) if priced else 0.0, float(np.nanmax(usual_costs)) if priced else 0.0

    def measured(rows: Rows) -> dict[str, float | None]:
        quality, base, most = (float(each.scores[0][rows].mean()) for each in (own, single, oracle))
        found: dict[str, float | None] = {
            "quality": quality,
            "gain": quality - base,
            "gap_recovered": (quality - base) / (most - base) if most > base else None,
        }
        if chosen is not None:
            found["policy_quality"] = float(chosen[0][rows].mean())
        if not priced:
            return found | dict.fromkeys(("cost", "aiq", "aiq_gain", "equal_cost_quality", "cost_to_match"))
        curve, usual = _hull(own, rows), float(single.costs[0][rows].mean())
        if chosen is not None:
            found["policy_cost"] = float(chosen[1][rows].mean()) / usual if usual > 0 else None
        area, zero = aiq(curve, low, high), aiq(_hull(single, rows), low, high)
        reached = curve.cost_of(base - CLOSE)
        return found | {
            "cost": float(own.costs[0][rows].mean()) * PER,
            "aiq": area,
            "aiq_gain": None if area is None or zero is None else area - zero,
            "equal_cost_quality": curve.at(usual),
            "cost_to_match": reached / usual if reached is not None and usual > 0 else None,
        }

    return result(said.name, Measures(len(judged.prompts), measured), seconds=said.seconds, baseline=said.baseline)


def _random(judged: Measured) -> Result:
    """What asking any model gives on average."""
    scores, costs = np.nanmean(judged.scores, axis=1), np.nanmean(judged.costs, axis=1) if _priced(judged) else None

    def measured(rows: Rows) -> dict[str, float | None]:
        return {"quality": mean(scores[rows]), "cost": None if costs is None else float(costs[rows].mean()) * PER, "aiq": None}

    return result("random", Measures(len(scores), measured), baseline=True)


def _wrong(system: str, made: Choices, judged: Measured) -> list[dict[str, object]]:
    """Rows in which another model would have been much better, the costliest mistakes first."""
    best = np.nanmax(judged.scores, axis=1)
    loss = best - made.scores[0]
    return [
        {
            "prompt": judged.prompts[n],
            "system": system,
            "recommended": judged.models[made.picked[n]],
            "score": round(float(made.scores[0][n]), 4),
            "better": judged.models[int(np.nanargmax(judged.scores[n]))],
            "best_score": round(float(best[n]), 4),
        }
        for n in np.argsort(-loss, kind="stable").tolist()
        if loss[n] >= MISSED
    ]
