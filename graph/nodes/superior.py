"""superior: the strong model, on wider evidence: more passages of the chosen experts, and the best of the others."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from core.types import OUT_OF_SCOPE, Hit, Route, Tier
from graph.drafting import Task, write
from graph.nodes.expert import search
from graph.services import Services
from graph.state import Context, State

OWN, OTHERS, MOST_OTHERS = 10, 3, 3


def superior(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """One draft by the superior model."""
    found = Route(**state["route"])
    hits = wide_search(services, state["question"], found)
    runtime.stream_writer({"type": "passages", "data": [hit.as_dict() for hit in hits]})
    task = Task(
        question=state["question"],
        expert=found.experts[0],
        scores=found.scores,
        hits=hits,
        history=state["messages"][:-1],
        tier=Tier.SUPERIOR,
        spec=services.tiers(found.experts[0])[Tier.SUPERIOR],
        attempt=state.get("attempt", 1),
    )
    return {"drafts": [write(services, task, runtime)]}


def wide_search(services: Services, question: str, found: Route) -> list[Hit]:
    """Passages of the chosen experts first, in turn, then a few of the most likely others."""
    own = [search(services, name, question, OWN // len(found.experts)) for name in found.experts]
    ranked = sorted((n for n in found.scores if n != OUT_OF_SCOPE and n not in found.experts), key=lambda n: -found.scores[n])
    others = [search(services, name, question, OTHERS) for name in ranked[:MOST_OTHERS]]
    return [hit for group in (own, others) for hits in group for hit in hits]
