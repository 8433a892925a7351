"""The application: every route, and what lies around them."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from core.garbage import collect_seldom
from core.settings import settings
from graph import tracing
from graph.services import Services, services
from server import chat, docs, errors, feedback, health, models, route, threads
from server.guard import Guard
from server.state import State

ABOUT = """Asks the right expert, which answers from its own documents. Speaks OpenAI's chat API: point any client at `/v1`.
Each answer carries its route, citations, confidence and cost in the field `switchyard`."""

SWITCH_S = 0.001
"""So long a thread may keep the interpreter while others want it."""


def create_app(given: Callable[[], Services] = services, origins: Sequence[str] = ()) -> FastAPI:
    """The server over an application that is made on first use. origins: of web pages that may call it from a browser."""
    shared = State(given)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # Beside the event loop: whoever asks /healthz meanwhile gets an answer.
        threading.Thread(target=health.warm, args=(shared,), name="warm", daemon=True).start()
        yield
        shared.stopping.set()
        shared.turns.close()
        tracing.close()

    app = FastAPI(
        title="Switchyard", description=ABOUT, version="1", lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.switchyard = shared
    for part in (chat, models, route, feedback, threads, health, docs):
        app.include_router(part.router, responses=errors.DESCRIBED)
    errors.install(app)
    app.add_middleware(Guard, metrics=shared.metrics)
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST", "DELETE"], allow_headers=["*"])
    return app


def serve(given: Callable[[], Services] = services) -> FastAPI:
    """For uvicorn: with the settings of the environment, and a line in the log for each turn."""
    collect_seldom()
    # A turn that computes would let the event loop, and with it every other chat's tokens, wait for five times as long.
    sys.setswitchinterval(SWITCH_S)
    logging.getLogger("uvicorn.error").addFilter(worth_a_line)
    tracing.turnlog.set_up(settings().log or "text")
    return create_app(given, settings().cors_origins)


def worth_a_line(record: logging.LogRecord) -> bool:
    """Whoever asks for a websocket is answered over HTTP: uvicorn would write two warnings, one of them to install what is not wanted."""
    return not record.getMessage().startswith(("Unsupported upgrade request", "No supported WebSocket library"))
