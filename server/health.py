"""For whoever runs the server: is it alive, may questions be sent, and how is it doing."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from core.errors import SwitchyardError
from graph.services import Services
from server.access import KeyFirst, Who
from server.metrics import CONTENT_TYPE
from server.state import App, Shared, State
from store.keys import any_key

router = APIRouter(tags=["health"], route_class=KeyFirst)
logger = logging.getLogger("switchyard")
AGAIN_S = 5.0


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives. Needs no key."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"description": "Not yet, or not now."}})
def readyz(shared: Shared, services: App) -> Response:
    """The indexes are loaded and the database answers. Needs no key, and so says little."""
    why = shared.not_ready or _store_fault(services)
    body: dict[str, Any] = {"status": why or "ready"}
    return JSONResponse(body, 503 if why else 200)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(shared: Shared, who: Who) -> Response:
    """In Prometheus' text format."""
    return Response(shared.metrics.text(), media_type=CONTENT_TYPE)


def warm(shared: State) -> None:
    """Load what the first question would wait for, again and again until it is there: a database may start later than the server."""
    said = ""
    while why := _missing(shared):
        shared.not_ready = "not ready: see the server's log"
        if why != said:
            logger.error("The server is not ready: %s", why)
        said = why
        if shared.stopping.wait(AGAIN_S):
            return
    shared.not_ready = ""


def _missing(shared: State) -> str:
    """Load everything; builds an index that is missing. Why that cannot be done, or ''."""
    try:
        services = shared.services()
        for name in services.experts:
            services.index(name)
        services.router()
        services.reader.open()
        for part in ("safety", "difficulty", "confidence", "policy", "engine"):
            getattr(services, part)
    except SwitchyardError as error:
        return str(error)
    return ""


def _store_fault(services: Services) -> str:
    try:
        any_key(services.engine)
    except SwitchyardError:
        return "the database does not answer"
    return ""
