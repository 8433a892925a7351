"""Have a model write a draft: stream it, fall back to another model before the first token, judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage

from core.errors import ModelError
from core.types import Hit, Notice, Tier
from graph.citations import Renumber, cite, mark
from graph.confidence import after_answer, before_answer, says_nothing
from graph.prompts import gives_orders, grounded
from graph.services import Services
from graph.state import Draft, Verdict
from llms.call import Reply, stream
from llms.registry import fallbacks

Writer = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Task:
    """What to write a draft of. `live`: stream it as final when the evidence is strong enough."""

    question: str
    expert: str
    scores: dict[str, float]
    hits: list[Hit]
    history: Sequence[AnyMessage]
    tier: Tier
    spec: str
    attempt: int
    live: bool = False
    explicit: bool = False


def write(services: Services, task: Task, writer: Writer) -> Draft:
    """Draft and judge. Raises ModelError when no model answers."""
    before = before_answer(task.question, task.expert, task.scores, task.hits)
    live = task.live and services.confidence.before.probability(before) >= services.policy.stream_at
    messages = grounded(services.expert(task.expert).prompt, task.question, task.hits, task.history)
    ids = [hit.passage.id for hit in task.hits]
    renumber = Renumber()

    def emit(piece: str) -> None:
        if not live:
            writer({"type": "draft_token", "data": piece})
        elif ready := renumber.feed(piece, ids):
            writer({"type": "token", "data": ready})

    reply, notices = call(services, task.spec, task.tier, messages, emit, explicit=task.explicit)
    if live and (rest := renumber.flush()):
        writer({"type": "token", "data": rest})
    text = reply.text.strip()
    if not live and not says_nothing(text):
        text = mark(text, task.hits)
    citations = cite(text, task.hits)
    parts = before | after_answer(task.question, text, task.hits, citations, services.encoder, services.reader)
    verdict = Verdict(services.confidence.after.probability(parts), parts, not says_nothing(text), citations)
    if reply.finish_reason == "length":
        notices.append(Notice("truncated", "The model stopped at its length limit: the answer may be incomplete."))
    if any(gives_orders(hit.passage.text) for hit in task.hits):
        notices.append(Notice("injection", "A retrieved passage holds text that looks like orders to the model; it was treated as text."))
    return Draft(task.expert, text, task.hits, reply.use, verdict, task.attempt, reply.finish_reason, live, notices)


def call(
    services: Services,
    spec: str,
    tier: Tier,
    messages: Sequence[BaseMessage],
    emit: Callable[[str], None],
    *,
    explicit: bool = False,
) -> tuple[Reply, list[Notice]]:
    """Ask `spec`, then its fallbacks, as long as nothing was emitted. A model that the user asked for by name is not replaced when it is misconfigured."""
    notices: list[Notice] = []
    if explicit:
        services.model(spec)
    candidates = [spec, *fallbacks(spec, services.settings)]
    for n, candidate in enumerate(candidates):
        sent = False
        try:
            pieces = stream(services.model(candidate), candidate, tier, list(messages), settings=services.settings)
            while True:
                try:
                    piece = next(pieces)
                except StopIteration as done:
                    reply: Reply = done.value
                    return reply, notices
                sent = True
                emit(piece)
        except ModelError as error:
            if sent or n + 1 == len(candidates):
                raise
            notices.append(Notice("fallback", f"{error} Asked {candidates[n + 1]} instead."))
    raise AssertionError("unreachable: the last candidate returns or raises")


def renumbered(drafts: Sequence[Draft]) -> tuple[str, list[Any]]:
    """The drafts' texts as one, with citations numbered in order of appearance over all of them, and those citations."""
    numbers = Renumber()
    texts, citations = [], []
    for draft in drafts:
        ids = [hit.passage.id for hit in draft.hits]
        texts.append(numbers.whole(draft.text, ids))
        citations += [replace(c, n=numbers.numbers[c.passage_id]) for c in draft.verdict.citations]
    return "\n\n".join(texts), sorted(citations, key=lambda c: c.n)
