"""POST /feedback: what people say of an answer of theirs."""

from __future__ import annotations

from fastapi import APIRouter

from graph.feedback import give
from server.access import KeyFirst, Who
from server.schema import FeedbackGiven, FeedbackRequest
from server.state import App

router = APIRouter(tags=["feedback"], route_class=KeyFirst)


@router.post("/feedback")
def feedback(body: FeedbackRequest, services: App, who: Who) -> FeedbackGiven:
    """Rate or correct an answer. What was said of it before is replaced."""
    return FeedbackGiven(id=give(services, owner=who.owner, **body.model_dump()))
