"""The user's say over a route before it runs: accept it, choose another expert, or have nobody asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from core.errors import InputError
from core.types import ModelUse, Route
from graph.services import Services
from graph.spending import total

ACCEPT, DECLINE = "accept", "decline"


def proposal(services: Services, question: str, found: Route, spent: Sequence[ModelUse]) -> dict[str, Any]:
    """What the user is shown: {question, route, choices, models, cost_usd}.

    The question stands alone, and one of the choices is the answer. `spent`: on finding the route; the answer's own cost comes on top.
    """
    choices, cost = [ACCEPT, *services.experts, DECLINE], total(use.cost_usd for use in spent)
    return {"question": question, "route": asdict(found), "choices": choices, "models": [use.as_dict() for use in spent], "cost_usd": cost}


def check(offered: Mapping[str, Any], choice: str) -> None:
    """Raises InputError for what is none of the choices of a `proposal`."""
    if choice not in offered["choices"]:
        raise InputError(f"Expected one of {', '.join(offered['choices'])} as the answer to the route; got {choice!r}.")


def decided(found: Route, choice: str) -> Route:
    """The route as the user wants it."""
    if choice == ACCEPT:
        return found
    if choice == DECLINE:
        return replace(found, expert=None, out_of_scope=True)
    return replace(found, expert=choice, confidence=found.scores.get(choice, 0.0), out_of_scope=False)
