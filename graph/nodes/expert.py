"""One expert: retrieve -> answer -> judge."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_callback_manager_for_config
from langgraph.runtime import Runtime

from core.errors import DocumentError, IndexFault
from core.types import Hit, ModelUse, Notice, Tier
from graph.drafting import Task, go_on, write
from graph.services import Services
from graph.state import AUTO, Asked, Context, Draft, Verdict
from graph.telling import tell

CANDIDATES = 10
"""So many passages of the search's are read at least, to put the best ones first."""
WIDER = 2
"""The second attempt reads this many times as many passages."""


def expert(services: Services, name: str, asked: Asked, runtime: Runtime[Context], config: RunnableConfig) -> dict[str, Any]:
    """A draft by the inferior model from the expert's best passages, judged.

    Raises DocumentError or IndexFault, unless another expert is asked too: then this one passes.
    """
    question, attempt = asked["question"], asked["attempt"]
    k = services.expert(name).card.passages * (WIDER if attempt > 1 else 1)
    try:
        hits = watched_search(services, name, question, k, config)
    except (DocumentError, IndexFault) as error:
        if not isinstance(asked["route"]["expert"], list):
            raise
        return {"drafts": [absent(name, str(error), attempt)]}
    tell({"type": "passages", "data": [hit.as_dict() for hit in hits]})
    go_on(runtime)
    return {"drafts": [write(services, task(services, name, asked, hits, runtime.context or Context()), runtime)]}


def task(services: Services, name: str, asked: Asked, hits: list[Hit], context: Context) -> Task:
    """What the inferior model is to do, or the one that was named in its place."""
    named = None if context.model == AUTO else context.model
    pictures = asked["pictures"] or ()
    return Task(
        question=asked["question"],
        expert=name,
        scores=asked["route"]["scores"],
        confidence=asked["confidence"],
        hits=hits,
        history=asked["history"],
        tier=Tier.INFERIOR,
        spec=named or services.tiers(name, asked["ladder"], pictures=bool(pictures))[Tier.INFERIOR],
        attempt=asked["attempt"],
        live=context.live and asked["solo"] and asked["attempt"] == 1,
        explicit=named is not None,
        superior_probability=asked["route"].get("superior_probability"),
        pictures=pictures,
    )


def watched_search(services: Services, name: str, question: str, k: int, config: RunnableConfig) -> list[Hit]:
    """As `search`; whoever watches the graph's run is told of it as of a LangChain retriever's."""
    watching = get_callback_manager_for_config(config).on_retriever_start({}, question, name=name)
    try:
        hits = search(services, name, question, k)
    except BaseException as error:
        watching.on_retriever_error(error)
        raise
    # Where nobody watches, nobody needs the documents.
    watching.on_retriever_end([document(hit) for hit in hits] if watching.handlers else [])
    return hits


def document(hit: Hit) -> Document:
    """A passage in LangChain's form."""
    return Document(hit.passage.text, id=hit.passage.id, metadata={"title": hit.passage.title, "score": hit.score})


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


def absent(name: str, fault: str, attempt: int, asked: Tier = Tier.INFERIOR) -> Draft:
    """What stands for an expert whose documents cannot be read, while others answer: nothing, and a notice of the reason."""
    nobody, verdict = ModelUse("", "", 0, 0, 0.0, 0.0), Verdict(confidence=0.0, parts={}, answers=False, citations=[])
    return Draft(name, "", [], nobody, verdict, attempt, notices=[Notice("fallback", f"{name} could not be asked: {fault}")], asked=asked)
