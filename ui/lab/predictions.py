"""What every router makes of a prompt, and what the policy would do with it."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import SwitchyardError
from core.types import Route, Tier
from experts.discovery import SafetyRule
from graph.nodes.route import find_route, forced, too_hard, with_difficulty
from graph.routers.kinds import LEARNT
from graph.routers.saved import mend
from graph.services import Services

SPENDS = {"llm": 'Asks a chat model, which may cost money. Try it with: switchyard route --router llm "PROMPT"'}
"""Kinds that are never asked from here, for nothing is spent here, and what is said instead."""
NO_DIFFICULTY = "No difficulty router is trained. Train one with: switchyard train difficulty DATA.jsonl"
ASKED_DIFFICULTY = "The difficulty router asks a chat model, which may cost money. It is asked with the question."


@dataclass(frozen=True, slots=True)
class Prediction:
    """One router's view. `route` is None when there is none, for the reason that `problem` gives in one line."""

    kind: str
    route: Route | None
    problem: str = ""


def predictions(shared: Services, prompt: str) -> list[Prediction]:
    """One of each kind that learns, the one of the settings first."""
    kinds, judged = sorted(LEARNT, key=lambda kind: kind != shared.router_kind), not no_difficulty(shared)
    return [_prediction(shared, prompt, kind, judged) for kind in kinds]


def no_difficulty(shared: Services) -> str:
    """Why nothing here says whether the superior model is needed, in one line; empty where something does."""
    try:
        router = shared.difficulty
    except SwitchyardError as error:
        return str(error)
    if router is None:
        return NO_DIFFICULTY
    return ASKED_DIFFICULTY if router.kind in SPENDS else ""


def _prediction(shared: Services, prompt: str, kind: str, judged: bool) -> Prediction:
    if kind in SPENDS:
        return Prediction(kind, None, SPENDS[kind])
    if kind != "similarity" and not shared.trained.folder(kind).exists():
        return Prediction(kind, None, f"Not trained yet. Train it with: {mend(kind)}")
    try:
        route = find_route(shared, prompt, kind=kind)
        return Prediction(kind, with_difficulty(shared, prompt, route) if judged else route)
    except SwitchyardError as error:  # made by another encoder or for other experts, damaged, or without the library that it needs
        return Prediction(kind, None, str(error))


@dataclass(frozen=True, slots=True)
class Plan:
    """What the application would do.

    `rule`: the safety rule that applies. `general`: who answers what no expert covers, if anyone. `hard`: whether the superior model is
    asked at once, being likely to be needed.
    """

    route: Route
    models: dict[Tier, str]
    rule: SafetyRule | None = None
    general: str | None = None
    hard: bool = False


def plan(shared: Services, prompt: str, route: Route) -> Plan:
    """Follow a route as a turn would: a safety rule's expert is asked whatever the scores are."""
    match = shared.safety.match(shared.encoder.encode([prompt])[0], shared.policy)
    if match and match.expert not in route.experts:
        route = forced(route, match.expert)
    first = route.experts[0] if route.experts else None
    return Plan(route, shared.tiers(first), match.rule if match else None, shared.settings.general, too_hard(shared, route))
