"""review: wait until the user has accepted the route or chosen another. Only finding the route may have cost anything so far."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from core.types import Route
from graph.nodes.route import onwards
from graph.pictures import taken
from graph.review import DECLINE, decided, proposal
from graph.safety import urgent
from graph.services import Services
from graph.spending import counted
from graph.state import Context, State
from graph.telling import tell


def review(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Go on as the user decides. What no checkpoint holds is made anew: the run may have waited for days, and in another process."""
    found = Route(**state["route"])
    # What was spent is in no checkpoint: it is told now, and only where the run that spent it has come here.
    offered = proposal(services, state["question"], found, state.get("spent") or [])
    # An error would be raised again by every later answer: what is no choice is asked for once more.
    while (choice := interrupt(offered)) not in offered["choices"]:
        pass
    found = decided(found, choice)
    context = runtime.context or Context()
    pictures = taken(state["messages"][-1], context)
    match = services.safety.match(services.encoder.encode([state["question"]])[0], services.policy)
    if choice != DECLINE:
        tell({"type": "route", "data": asdict(found)})
    onward, spent = counted(lambda: onwards(services, {**state, "pictures": pictures}, found, context))
    return {
        **onward,
        "spent": spent,
        **urgent(match),
        "refused": choice == DECLINE,
        "pictures": pictures,
        "started": time.perf_counter(),
        "attempt": 1,
    }
