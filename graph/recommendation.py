"""Which model to ask: the decision over what a recommender predicts of the models that can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from core.errors import InputError, ModelError
from core.types import Tier
from graph.recommender import Near, Recommender
from graph.services import Services
from llms.prices import CHARS_A_TOKEN, MILLION, cost_usd, sees
from llms.registry import configured

NEAREST = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is expected of a model. quality: in [0, 1]; None where a number is not known. measured: prompts that it is known from."""

    model: str
    quality: float
    cost_usd: float | None
    latency_ms: float | None
    measured: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The model to ask and why; `models`: best first. unusable: measured models that cannot be asked, with the reason.

    unmeasured: models that could be asked, but that nothing is known of.
    """

    model: str
    reason: str
    kind: str
    models: list[Estimate]
    unusable: dict[str, str]
    unmeasured: list[str]
    nearest: list[Near]


def recommend(services: Services, prompt: str, *, budget: float | None = None, floor: float | None = None) -> Recommendation:
    """The model for a prompt; see `choose`. Raises InputError without a recommender or a model that it knows and that can be used."""
    recommender = services.recommender
    if recommender is None:
        raise InputError("No recommender is trained yet. Train one on measured answers: switchyard train recommender DATA.jsonl")
    usable, unusable, unmeasured = _configured(services, recommender)
    if not usable:
        known = ", ".join(recommender.models)
        raise InputError(f"The recommender knows {known}; none of them can be used. See switchyard doctor for the keys that are missing.")
    found = sorted(estimates(recommender, prompt, usable, services.settings.home), key=lambda each: (-each.quality, _cost(each)))
    chosen, reason = choose(found, recommender.worth, budget, floor)
    near = recommender.nearest(prompt, NEAREST)
    return Recommendation(chosen.model, reason, recommender.kind, found, unusable, unmeasured, near)


def ladder(services: Services, question: str, *, pictures: bool = False) -> dict[Tier, str] | None:
    """The models to ask first, and when the first one's answer does not do; None where fewer than two are measured and usable.

    With `pictures` only those that see count.
    The first is the one that is recommended, the second the one of the highest expected quality: the two tiers out of any number of models.
    """
    recommender, usable = services.recommender, choosable(services)
    usable = [model for model in usable if sees(model, services.settings.home)] if pictures else usable
    if recommender is None or len(usable) < 2:
        return None
    try:
        found = estimates(recommender, question, usable, services.settings.home)
    except ModelError:  # of the kind llm: a question need not go unanswered for that
        return None
    strongest = max(found, key=lambda each: (each.quality, -_cost(each)))
    return {Tier.INFERIOR: choose(found, recommender.worth)[0].model, Tier.SUPERIOR: strongest.model}


def choosable(services: Services) -> list[str]:
    """The models that a recommender may choose: measured, and usable; none without one."""
    return _configured(services, services.recommender)[0] if services.recommender else []


def estimates(recommender: Recommender, prompt: str, models: Sequence[str], home: Path) -> list[Estimate]:
    """What is expected of each of `models`, which the recommender knows, in their order.

    A cost is that of the nearest measured prompts; where the price is known, that of reading so much more or less than they have is added.
    """
    tokens, usual = len(prompt) / CHARS_A_TOKEN, recommender.characters(prompt) / CHARS_A_TOKEN

    def cost(model: str, near: float) -> float | None:
        if not isfinite(near):
            return None
        price = (cost_usd(model, MILLION, 0, home) or 0.0) / MILLION
        return max(near + price * (tokens - usual), min(near, price * tokens))

    qualities, costs, latencies = (each([prompt])[0] for each in (recommender.qualities, recommender.costs, recommender.latencies))
    columns = [recommender.models.index(model) for model in models]
    return [
        Estimate(
            recommender.models[n],
            round(float(qualities[n]), 4),
            cost(recommender.models[n], float(costs[n])),
            round(float(latencies[n]), 1) if isfinite(latencies[n]) else None,
            recommender.counts[n],
        )
        for n in columns
    ]


def choose(found: Sequence[Estimate], worth: float, budget: float | None = None, floor: float | None = None) -> tuple[Estimate, str]:
    """The estimate to go by, and why.

    budget: the best one that costs at most so many USD; floor: the cheapest one of at least this quality; neither: the highest
    quality - worth * cost. An unknown cost is above every budget, and the last to be cheap. Raises InputError for both at once, and for
    a budget or floor that no model keeps.
    """
    if budget is not None and floor is not None:
        raise InputError("Expected a budget or a quality floor; got both. Leave one out.")
    if budget is not None:
        return _within(found, budget), f"the best for at most ${budget:g}"
    if floor is not None:
        return _above(found, floor), f"the cheapest with a quality of at least {floor:g}"
    if worth == 0 or any(each.cost_usd is None for each in found):
        return max(found, key=lambda each: (each.quality, -_cost(each))), "the best expected quality"
    best = max(found, key=lambda each: (each.quality - worth * _cost(each), each.quality))
    return best, "the best expected quality for its cost"


def _within(found: Sequence[Estimate], budget: float) -> Estimate:
    cheap = [each for each in found if _cost(each) <= budget]
    if not cheap:
        least = min(found, key=_cost)
        least_cost = "no cost is known" if least.cost_usd is None else f"the cheapest is {least.model} at about ${least.cost_usd:.2g}"
        raise InputError(f"No model costs at most ${budget:g} for this prompt; {least_cost}. Raise --budget.")
    return max(cheap, key=lambda each: (each.quality, -_cost(each)))


def _above(found: Sequence[Estimate], floor: float) -> Estimate:
    good = [each for each in found if each.quality >= floor]
    if not good:
        best = max(found, key=lambda each: each.quality)
        raise InputError(f"No model reaches a quality of {floor:g} for this prompt; {best.model} comes nearest with {best.quality:.2f}.")
    return min(good, key=lambda each: (_cost(each), -each.quality))


def _cost(each: Estimate) -> float:
    return float("inf") if each.cost_usd is None else each.cost_usd


def _configured(services: Services, recommender: Recommender) -> tuple[list[str], dict[str, str], list[str]]:
    """Measured and usable, measured and not usable with the reason, usable and not measured."""
    cards = [m for e in services.experts.values() for m in (e.card.models.inferior, e.card.models.superior) if m]
    problems = dict(configured(services.settings, *recommender.models, *cards))
    usable = [model for model in recommender.models if problems[model] is None]
    unusable = {model: problem for model in recommender.models if (problem := problems[model]) is not None}
    return usable, unusable, [m for m, problem in problems.items() if problem is None and m not in recommender.models]
