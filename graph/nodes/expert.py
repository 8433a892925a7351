"""One expert's subgraph: retrieve -> answer -> judge."""

from __future__ import annotations

from functools import partial
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from core.errors import DocumentError, IndexFault
from core.types import Hit, ModelUse, Notice, Tier
from graph.drafting import Task, write
from graph.services import Services
from graph.state import AUTO, Context, Draft, Drafts, ExpertState, Verdict
from graph.telling import tell

CANDIDATES = 10
"""So many passages of the search's are read at least, to put the best ones first."""
WIDER = 2
"""The second attempt reads this many times as many passages."""


def expert_graph(services: Services, name: str) -> Any:
    """Compile the subgraph of one expert. It keeps no checkpoints of its own."""
    builder = StateGraph(ExpertState, context_schema=Context, output_schema=Drafts)
    builder.add_node("retrieve", partial(retrieve, services, name))
    builder.add_node("answer", partial(answer, services, name))
    builder.add_edge(START, "retrieve")
    builder.add_edge("retrieve", "answer")
    builder.add_edge("answer", END)
    return builder.compile(checkpointer=False, name=name)


def retrieve(services: Services, name: str, state: ExpertState) -> dict[str, Any]:
    """The expert's best passages. Raises DocumentError or IndexFault, unless another expert is asked too: then this one passes."""
    k = services.expert(name).card.passages * (WIDER if state["attempt"] > 1 else 1)
    try:
        hits = search(services, name, state["question"], k)
    except (DocumentError, IndexFault) as error:
        if not isinstance(state["route"]["expert"], list):
            raise
        return {"hits": [], "fault": str(error)}
    tell({"type": "passages", "data": [hit.as_dict() for hit in hits]})
    return {"hits": hits}


def search(services: Services, name: str, question: str, k: int) -> list[Hit]:
    """The `k` best passages of one expert in the reader's order. Raises DocumentError or IndexFault."""
    return services.reader.rerank(question, unread(services, name, question, k, CANDIDATES))[:k]


def unread(services: Services, name: str, question: str, k: int, at_least: int = 0) -> list[Hit]:
    """`k` passages of one expert as its own `retrieve` orders them, where `expert.py` has one, else `k` or `at_least` as the search does.

    Raises DocumentError or IndexFault.
    """
    index, vector = services.index(name), services.encoder.encode([question])[0]
    own = services.expert(name).overrides.get("retrieve")
    hits: list[Hit] = own(index, question, vector, k) if own else index.search(question, vector, max(k, at_least))
    return hits


def answer(services: Services, name: str, state: ExpertState, runtime: Runtime[Context]) -> dict[str, Any]:
    """A draft by the inferior model, judged."""
    if fault := state.get("fault"):
        return {"drafts": [absent(name, fault, state["attempt"])]}
    context = runtime.context or Context()
    named = None if context.model == AUTO else context.model
    pictures = state.get("pictures") or ()
    task = Task(
        question=state["question"],
        expert=name,
        scores=state["route"]["scores"],
        confidence=state["confidence"],
        hits=state["hits"],
        history=state.get("messages") or [],
        tier=Tier.INFERIOR,
        spec=named or services.tiers(name, state.get("ladder"), pictures=bool(pictures))[Tier.INFERIOR],
        attempt=state["attempt"],
        live=context.live and state["solo"] and state["attempt"] == 1,
        explicit=named is not None,
        superior_probability=state["route"].get("superior_probability"),
        pictures=pictures,
    )
    return {"drafts": [write(services, task, runtime)]}


def absent(name: str, fault: str, attempt: int, asked: Tier = Tier.INFERIOR) -> Draft:
    """What stands for an expert whose documents cannot be read, while others answer: nothing, and a notice of the reason."""
    nobody, verdict = ModelUse("", "", 0, 0, 0.0, 0.0), Verdict(confidence=0.0, parts={}, answers=False, citations=[])
    return Draft(name, "", [], nobody, verdict, attempt, notices=[Notice("fallback", f"{name} could not be asked: {fault}")], asked=asked)
