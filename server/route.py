"""POST /v1/route: where a question would go. Nothing is answered and nothing is spent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from graph.nodes.prepare import clean_question
from graph.nodes.route import find_route
from server.access import KeyFirst, Who
from server.schema import RouteRequest
from server.state import App

router = APIRouter(tags=["route"], route_class=KeyFirst)


@router.post("/v1/route")
def route(body: RouteRequest, services: App, who: Who) -> dict[str, Any]:
    """The answer's `route` object, as `switchyard route --json` prints it."""
    question = clean_question(body.text, services.settings.max_question_chars)
    return asdict(find_route(services, question, kind=body.router))
