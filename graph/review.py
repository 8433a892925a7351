"""The user's say over a route before it runs: accept it, choose another expert, or have nobody asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from core.errors import InputError
from core.types import Route
from graph.services import Services

ACCEPT, DECLINE = "accept", "decline"


def proposal(services: Services, question: str, found: Route) -> dict[str, Any]:
    """What the user is shown: {question, route, choices}; the question stands alone, and one of the choices is the answer."""
    return {"question": question, "route": asdict(found), "choices": [ACCEPT, *services.experts, DECLINE]}


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
