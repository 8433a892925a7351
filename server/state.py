"""What the routes share. It hangs on the application, so that several of them may live in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from graph.services import Services
from server.metrics import Metrics
from server.turns import Turns

DELETING = 4
"""Threads for deletes: each may wait long for a turn of its conversation, and what all other requests share must not run out."""


@dataclass(slots=True)
class State:
    """services: gives the application, which is made on first use. not_ready: why no questions should be sent yet, or ''.

    stopping: set when the server goes down. deleting: has the deletes that are too many wait without a thread.
    """

    services: Callable[[], Services]
    metrics: Metrics = field(default_factory=Metrics)
    turns: Turns = field(init=False)
    not_ready: str = "starting"
    stopping: Event = field(default_factory=Event)
    deleting: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(DELETING))

    def __post_init__(self) -> None:
        self.turns = Turns(self.metrics)


async def state(request: Request) -> State:
    """The application's state. FastAPI runs a function that is not async in a thread, which would cost more than this does."""
    found: State = request.app.state.switchyard
    return found


def services(request: Request) -> Services:
    """The application itself. Its first use reads files, so this runs in a thread."""
    found: State = request.app.state.switchyard
    return found.services()


Shared = Annotated[State, Depends(state)]
App = Annotated[Services, Depends(services)]
