"""The configured models: what each is for, whether it can be used, what it costs, and what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from graph.services import Services
from llms.prices import read_prices, shipped
from llms.registry import configured

LOCAL = "local:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. problem: why it cannot be used, or None. quality: mean score in [0, 1], cost_usd: of a prompt, over `measured` prompts."""

    spec: str
    roles: list[str]
    problem: str | None
    price: str
    price_date: str
    quality: float | None = None
    cost_usd: float | None = None
    measured: int = 0


def entries(shared: Services) -> list[Entry]:
    """Every model that is set, used by an expert, a provider's default, or measured; those that can be used first."""
    roles = _roles(shared)
    measured = _measured(shared)
    found = [
        Entry(spec, roles.get(spec, []), problem, *_price(shared, spec), *measured.get(spec, (None, None, 0)))
        for spec, problem in configured(shared.settings, *roles, *measured)
    ]
    return sorted(found, key=lambda entry: (entry.problem is not None, not entry.roles))


def _roles(shared: Services) -> dict[str, list[str]]:
    """What each model is for."""
    general = shared.tiers(None)
    roles: dict[str, list[str]] = {}
    for tier, spec in general.items():
        roles.setdefault(spec, []).append(str(tier))
    for name, expert in shared.experts.items():
        for tier, spec in shared.tiers(name).items():
            if spec != general[tier]:
                roles.setdefault(spec, []).append(f"{tier} of {expert.card.title}")
    if shared.settings.general:
        roles.setdefault(shared.settings.general, []).append("general questions")
    return roles


def _measured(shared: Services) -> dict[str, tuple[float, float | None, int]]:
    """(quality, cost, prompts) of each model that the recommender knows."""
    known = shared.recommender
    if known is None:
        return {}
    numbers = zip(known.models, known.means, known.counts, strict=True)
    return {model: (quality, cost if isfinite(cost) else None, count) for model, (quality, cost), count in numbers}


def _price(shared: Services, spec: str) -> tuple[str, str]:
    """(price in words, date of the list)."""
    if spec.startswith(LOCAL):
        return "free", ""
    own = shared.settings.home / "prices.toml"
    for prices in ([read_prices(own)] if own.exists() else []) + [shipped()]:
        if price := prices.prices.get(spec):
            return f"{price.input:g} in, {price.output:g} out", prices.as_of
    return "unknown", ""
