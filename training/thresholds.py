"""Thresholds of the policy that follow from a target: a share of superior calls, a cost, or a risk that is promised.

The promise (`max-risk`) is distribution-free: Learn then Test (Angelopoulos, Bates, Candès, Jordan, Lei, 2021). Each threshold is a
hypothesis, "of the answers that are given from here on, more than `risk` are wrong", tested by the exact binomial tail. They are tried
from the strictest down, in an order that was fixed without the calibration data, until one cannot be rejected (fixed-sequence testing).
The chance that any rejected one has a higher risk is at most delta, whatever the scores are worth.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.files import write_whole
from graph.policy import Policy

SHARE, RISK, BUDGET = "superior-share", "max-risk", "budget"
DELTA = 0.1
"""The chance of a broken promise, where the user names none."""
STEP = 0.005
"""Of the risks that are tried when the wanted one cannot be promised."""
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Target:
    """What the user wants at most: a `superior-share` of the questions, a `max-risk` of given answers, a `budget` (mean USD a question)."""

    kind: str
    value: float
    delta: float

    def __str__(self) -> str:
        return f"{self.kind}={self.value:g}" + (f" --delta {self.delta:g}" if self.kind == RISK else "")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The inferior model's answers to questions that the confidence was not fitted on, one number a question in each array.

    confidence: in [0, 1]. right: the answer is acceptable. inferior_usd, superior_usd: what a call costs, NaN where a price is unknown.
    """

    confidence: Floats
    right: Bools
    inferior_usd: Floats
    superior_usd: Floats


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold, and in words what it keeps."""

    accept_at: float
    guarantee: str


def parse(text: str, delta: float | None) -> Target:
    """`kind=value`; `delta` is for `max-risk` alone. Raises InputError naming what was expected."""
    kind, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if kind not in (SHARE, RISK, BUDGET) or not math.isfinite(value):
        raise InputError(f"Expected --target {SHARE}=0.3, {RISK}=0.05 or {BUDGET}=0.002; got {text!r}.")
    if kind != BUDGET and not 0 < value < 1:
        raise InputError(f"Expected a share between 0 and 1 in --target {kind}; got {value:g}.")
    if value < 0:
        raise InputError(f"Expected a budget of at least 0 USD a question; got {value:g}.")
    if delta is not None and kind != RISK:
        raise InputError(f"Expected --delta with --target {RISK} alone; {kind} promises nothing. Leave --delta out.")
    if delta is not None and not 0 < delta < 1:
        raise InputError(f"Expected --delta between 0 and 1; got {delta:g}.")
    return Target(kind, value, DELTA if delta is None else delta)


def choose(target: Target, data: Calibration, candidates: Sequence[float], answer_at: float) -> Chosen:
    """The threshold for a target. `candidates`: see `learn_then_test`. Raises InputError when it cannot be reached.

    `answer_at`: what the policy never answers below, target or not; a risk that would allow less does not loosen it.
    """
    if not len(data.right):
        raise InputError("Expected questions with the split `test` in an expert's questions.csv to choose a threshold on; found none.")
    if target.kind == SHARE:
        return for_share(data, target.value)
    if target.kind == BUDGET:
        return for_budget(data, target.value)
    return for_risk(data, target.value, target.delta, [max(candidate, answer_at) for candidate in candidates])


def for_share(data: Calibration, share: float) -> Chosen:
    """The highest threshold below which at most this share of the questions lies."""
    accept_at = _threshold(data.confidence, math.floor(share * len(data.right)))
    asked = int((data.confidence < accept_at).sum())
    low, high = interval(asked, len(data.right))
    words = (
        f"{asked} of {len(data.right)} questions went to the superior model; of questions like these, {low:.3f} to {high:.3f} "
        "will (95% Clopper-Pearson interval)."
    )
    return Chosen(accept_at, words)


def for_budget(data: Calibration, budget: float) -> Chosen:
    """The highest threshold at which a question costs at most `budget` USD on average. Raises InputError for unknown or higher prices."""
    if np.isnan([data.inferior_usd, data.superior_usd]).any():
        raise InputError("Expected the prices of both tiers' models; one is unknown. Add it to prices.toml in SWITCHYARD_HOME.")
    order = np.argsort(data.confidence, kind="stable")
    # mean[k]: the k least confident answers are asked of the superior model too.
    mean = data.inferior_usd.mean() + np.r_[0.0, np.cumsum(data.superior_usd[order])] / len(order)
    affordable = np.flatnonzero(mean <= budget * (1 + 1e-9))
    if not len(affordable):
        raise InputError(f"The inferior model alone costs {mean[0]:.6f} USD a question: no threshold keeps a budget of {budget:g}.")
    accept_at = _threshold(data.confidence, int(affordable[-1]))
    asked = data.confidence < accept_at
    cost = float(data.inferior_usd.mean() + (data.superior_usd * asked).mean())
    words = (
        f"On {len(order)} questions the mean cost was {cost:.6f} USD, with {asked.mean():.3f} of them to the superior model; "
        "its cost is estimated from the passages it reads and the length of the inferior model's answers."
    )
    return Chosen(accept_at, words)


def for_risk(data: Calibration, risk: float, delta: float, candidates: Sequence[float]) -> Chosen:
    """The lowest threshold that keeps the promise. Raises InputError, with the smallest risk that can be promised, when there is none."""
    accept_at = learn_then_test(data, risk, delta, candidates)
    if accept_at is None:
        possible = np.arange(STEP, 1, STEP)
        found = next((r for r in possible if r > risk and learn_then_test(data, float(r), delta, candidates) is not None), None)
        instead = f"the smallest risk that can is about {found:.3f}" if found else "no risk can"
        raise InputError(
            f"A risk of {risk:g} cannot be promised with delta {delta:g} on {len(data.right)} questions; {instead}. "
            "Ask for that, or add questions with the split `test`."
        )
    given = data.confidence >= accept_at
    n, wrong = int(given.sum()), int((given & ~data.right).sum())
    words = (
        f"Of the inferior model's answers that are given (confidence at least accept_at), at most {risk:g} are wrong: for questions like "
        f"these, put to their own expert, with probability at least {1 - delta:g} over the calibration questions (delta {delta:g}). "
        f"Calibrated on n = {len(given)} questions: {n} given, {wrong} wrong, upper bound {upper_bound(wrong, n, delta):.4f} "
        "(exact binomial, Learn then Test). Questions that the documents do not answer, and answers of the superior model, are not covered."
    )
    return Chosen(accept_at, words)


def learn_then_test(data: Calibration, risk: float, delta: float, candidates: Sequence[float]) -> float | None:
    """The lowest threshold that is shown to have P(wrong | confidence >= threshold) <= risk, but for a chance of delta; else None.

    `candidates`: for shares that rise evenly to 1, the confidence that this share of other questions reaches. They fix the order, so they
    must not come from `data`. The first is the one for twice as many answers as would do if all were right.
    """
    from scipy.stats import binom

    enough = 2 * math.log(delta) / math.log(1 - risk)
    first = min(len(candidates), math.ceil(enough / len(data.right) * len(candidates))) - 1
    chosen = None
    for threshold in candidates[max(0, first) :]:
        given = data.confidence >= threshold
        if binom.cdf(int((given & ~data.right).sum()), int(given.sum()), risk) > delta:
            break
        chosen = float(threshold)
    return chosen


def interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    rest = (1 - level) / 2
    return 1 - upper_bound(n - successes, n, rest), upper_bound(successes, n, rest)


def upper_bound(successes: int, n: int, delta: float) -> float:
    """The share that is exceeded with probability at most delta, by the exact binomial tail."""
    from scipy.stats import beta

    return 1.0 if successes >= n else float(beta.ppf(1 - delta, successes + 1, n - successes))


def _threshold(confidence: Floats, below: int) -> float:
    """The highest threshold with at most `below` values under it; 1 when all may be."""
    return 1.0 if below >= len(confidence) else float(np.sort(confidence)[below])


def read_candidates(path: Path) -> list[float]:
    """The shares that were written with the confidence's weights. Raises InputError when there are none."""
    try:
        found = [float(value) for value in json.loads(path.read_text(encoding="utf-8"))["shares"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the confidence's weights with `shares`: {error}. Run: switchyard train confidence") from None
    return found


def ladder(base: Policy, shipped: Policy) -> Policy:
    """Whose lower rungs no target has decided: the user's by hand, else the shipped ones."""
    return shipped if base.guarantee else base


def new_policy(base: Policy, shipped: Policy, target: Target, chosen: Chosen, data: str, confidence: str) -> Policy:
    """`base` with the thresholds that the target decides, and what they were made of. What an earlier target decided is taken back.

    confidence: the identity of the one that `chosen` was measured with.
    """
    kept = ladder(base, shipped)
    changes: dict[str, float | str] = {"target": str(target), "data": data, "guarantee": chosen.guarantee, "confidence": confidence}
    changes["accept_at"] = chosen.accept_at
    # The first draft was measured: the rung on which the same model reads more is left out, so that what was measured is what happens.
    changes["retry_at"] = 0.0
    if target.kind == RISK:
        # Nothing below the threshold is given, on no rung of the ladder, and nothing is streamed before it has been judged.
        changes |= {"answer_at": chosen.accept_at, "stream_at": 1.0}
    else:
        changes |= {"answer_at": min(kept.answer_at, chosen.accept_at), "stream_at": kept.stream_at}
    return Policy.model_validate({**base.model_dump(), **changes})


def write_policy(policy: Policy, path: Path) -> None:
    """Write a policy file, whole or not at all."""
    write_whole(path, _toml(policy.model_dump()))


def _toml(values: Mapping[str, float | str]) -> str:
    """JSON's strings and numbers are TOML's."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
