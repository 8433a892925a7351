"""superior: the strong model, on wider evidence: more passages of the chosen experts, and the best of the others."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from core.errors import DocumentError, IndexFault
from core.types import OUT_OF_SCOPE, Hit, Route, Tier
from graph.drafting import Task, write
from graph.nodes.expert import absent, watched_search
from graph.services import Services
from graph.state import AUTO, Context, State
from graph.summary import recalled
from graph.telling import tell

OWN, OTHERS, MOST_OTHERS = 10, 3, 3


def superior(services: Services, state: State, runtime: Runtime[Context], config: RunnableConfig) -> dict[str, Any]:
    """One draft by the superior model for each chosen expert, so that a question that spans two is answered from both."""
    found = Route(**state["route"])
    # Whoever names an expert wants that one's documents.
    named = runtime.context and runtime.context.expert != AUTO
    question, attempt, pictures = state["question"], state.get("attempt", 1), state.get("pictures") or ()
    others = [] if named else other_hits(services, question, found, config)
    drafts = []
    for name in found.experts:
        try:
            hits = [*watched_search(services, name, question, OWN, config), *others]
        except (DocumentError, IndexFault) as error:
            if len(found.experts) == 1:
                raise
            drafts.append(absent(name, str(error), attempt, Tier.SUPERIOR))
            continue
        tell({"type": "passages", "data": [hit.as_dict() for hit in hits]})
        task = Task(
            question=question,
            expert=name,
            scores=found.scores,
            confidence=state["confidence"],
            hits=hits,
            history=recalled(state),
            tier=Tier.SUPERIOR,
            spec=services.tiers(name, state.get("ladder"), pictures=bool(pictures))[Tier.SUPERIOR],
            attempt=attempt,
            superior_probability=found.superior_probability,
            pictures=pictures,
        )
        drafts.append(write(services, task, runtime))
    return {"drafts": drafts}


def other_hits(services: Services, question: str, found: Route, config: RunnableConfig) -> list[Hit]:
    """A few passages of the most likely experts that were not chosen; those whose documents cannot be read have none to add."""
    ranked = sorted((n for n in found.scores if n != OUT_OF_SCOPE and n not in found.experts), key=lambda n: -found.scores[n])
    hits = []
    for name in ranked[:MOST_OTHERS]:
        with suppress(DocumentError, IndexFault):
            hits += watched_search(services, name, question, OTHERS, config)
    return hits
