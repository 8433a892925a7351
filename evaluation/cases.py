"""Cases for the confidence: the experts' questions, answered by the inferior model where the evidence is there and where it is not.

Three kinds: `own`, the question as it is; `withheld`, with the passages of its document left out; `wrong-expert`, asked of another expert's
documents. An answer is acceptable when it holds the key fact. The router judges its own examples as if it had never seen them.

A fourth, for whoever asks for it: `altered`, the answer to the question as it is, with other numbers in it. It is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from core.types import Hit, ModelUse, Tier
from experts.discovery import Expert, Item
from graph.confidence import before_answer
from graph.drafting import Task, call, judge
from graph.nodes.expert import search
from graph.nodes.route import superior_probability
from graph.prompts import grounded
from graph.services import Services
from retrieval.text import contains_key

KINDS, ALTERED = ("own", "withheld", "wrong-expert"), "altered"
SHIFT = 7
"""What is added to each number of an altered answer."""
_NUMBER = re.compile(r"(?<![\[\d.,])\d+(?![\]\d])")
DEEPER = 4
"""So many times the passages that are read are found, so that enough are left when a document is withheld."""


@dataclass(frozen=True, slots=True)
class Case:
    """One answered question. `parts`: the confidence's signals; `right`: the answer is acceptable; `use`: what it took."""

    kind: str
    expert: str
    question: str
    text: str
    parts: dict[str, float]
    right: bool
    use: ModelUse


def cases(
    services: Services, splits: Sequence[str], progress: Callable[[], None] = lambda: None, *, kinds: Collection[str] = KINDS
) -> list[Case]:
    """Answer the questions of `splits` in these ways; `progress` is called after each question. Raises ModelError."""
    found: list[Case] = []
    for expert in services.experts.values():
        for item in expert.questions(*splits):
            found += _answers(services, expert, item, kinds)
            progress()
    return found


def _answers(services: Services, expert: Expert, item: Item, kinds: Collection[str]) -> Iterator[Case]:
    k, router = expert.card.passages, services.router()
    scores = dict(zip(router.labels, map(float, router.left_out_proba([item.question])[0]), strict=True))
    needed = superior_probability(services, item.question)

    def case(kind: str, asked: Expert, hits: list[Hit]) -> Case:
        spec = services.tiers(asked.name)[Tier.INFERIOR]
        sure = services.confidence
        task = Task(item.question, asked.name, scores, sure, hits, [], Tier.INFERIOR, spec, attempt=1, superior_probability=needed)
        return _case(services, kind, asked, item, task)

    hits = search(services, expert.name, item.question, DEEPER * k)
    if "own" in kinds:
        yield case("own", expert, hits[:k])
    if ALTERED in kinds and _NUMBER.search((altered := case(ALTERED, expert, hits[:k])).text):
        yield altered
    if "withheld" in kinds:
        yield case("withheld", expert, [h for h in hits if h.passage.document != item.document][:k])
    if "wrong-expert" in kinds:
        for other in services.experts.values():
            if other.name != expert.name:
                yield case("wrong-expert", other, search(services, other.name, item.question, k))


def _case(services: Services, kind: str, asked: Expert, item: Item, task: Task) -> Case:
    messages = grounded(asked.prompt, item.question, task.hits, [])
    reply, *_ = call(services, task.spec, task.tier, messages, lambda: None)
    if kind == ALTERED:
        reply = replace(reply, text=_NUMBER.sub(lambda match: str(int(match[0]) + SHIFT), reply.text))
    before = before_answer(item.question, asked.name, task.scores, task.hits, services.reader, task.superior_probability)
    text, verdict = judge(services, task, reply, before)
    right = kind != ALTERED and verdict.answers and contains_key(text, item.key)
    return Case(kind, asked.name, item.question, text, verdict.parts, right, reply.use)
