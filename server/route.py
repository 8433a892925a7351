"""POST /v1/route: where a question would go. Nothing is answered, nothing is spent and nothing is fitted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from graph.nodes.prepare import clean_question
from graph.nodes.route import find_route, with_difficulty
from graph.routers.kinds import BASELINES, check_kind
from graph.routers.saved import ABOUT, mend
from graph.services import Services
from server.access import KeyFirst, Who
from server.errors import Refused
from server.schema import RouteRequest
from server.state import App

router = APIRouter(tags=["route"], route_class=KeyFirst)
LLM = "llm"


@router.post("/v1/route")
def route(body: RouteRequest, services: App, who: Who) -> dict[str, Any]:
    """The answer's `route` object, as `switchyard route --json` prints it."""
    question = clean_question(body.text, services.settings.max_question_chars)
    check_ready(services, body.router)
    if not services.lone and (body.router or services.router_kind) == LLM:
        message = "Nothing is spent on a dry run, and the router llm asks a chat model. Name another as router, or ask the question."
        raise Refused(400, message, param="router")
    return asdict(with_difficulty(services, question, find_route(services, question, kind=body.router), spend=False))


def check_ready(services: Services, kind: str | None) -> None:
    """Raises Refused (400) for a router that a request would have to fit: that takes minutes, and gigabytes; UnknownNameError."""
    if kind is None or services.lone or check_kind(kind) in (services.router_kind, LLM, *BASELINES):
        return
    similar = kind == "similarity"
    if services.trained.folder(kind).exists() or (similar and (services.router_folder / ABOUT).exists()):
        return
    way = 'switchyard route "any question" --router similarity' if similar else mend(kind)
    message = f"The router {kind} is not ready, and no request fits one. Leave router out, or run on the server: {way}"
    raise Refused(400, message, param="router")
