"""Have a model write a draft: stream it, fall back to another model as long as nothing is final, judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage
from langgraph.errors import GraphDrained
from langgraph.runtime import Runtime

from core.errors import ModelError
from core.pictures import Picture
from core.types import Hit, ModelUse, Notice, Tier
from graph.citations import LiveMarks, Renumber, cite, mark, unsupported
from graph.confidence import REFUSALS, Confidence, after_answer, before_answer, says_nothing
from graph.prompts import gives_orders, grounded, with_pictures
from graph.services import Services
from graph.state import Context, Draft, Verdict
from graph.telling import Tell, tell
from llms.call import Reply, stream
from llms.prices import sees
from llms.registry import fallbacks, tier_of
from retrieval.text import normalise


@dataclass(frozen=True, slots=True)
class Task:
    """What to write a draft of. `confidence` judges it. `live`: stream it as final when the evidence is strong enough.

    superior_probability: the route's, None while no difficulty router is trained.
    """

    question: str
    expert: str
    scores: dict[str, float]
    confidence: Confidence
    hits: list[Hit]
    history: Sequence[AnyMessage]
    tier: Tier
    spec: str
    attempt: int
    live: bool = False
    explicit: bool = False
    superior_probability: float | None = None
    pictures: Sequence[Picture] = ()


class Outlet:
    """Where the pieces of a draft go as they come: to the user as `token`s when it is `live`, else as provisional `draft_token`s.

    A live draft is held back as long as it may turn out to say that the passages do not answer: that one is for the ladder to judge.
    """

    def __init__(self, write: Tell, hits: Sequence[Hit], *, live: bool, asked: str = "") -> None:
        self._write = write
        self._passages = [hit.passage for hit in hits]
        self._live = live
        self._marks = LiveMarks(hits, asked)
        self._renumber = Renumber()
        self._held = ""
        self.streamed = False

    def feed(self, piece: str) -> None:
        """Pass a piece on."""
        self._held += piece
        if not self._live:
            self._write({"type": "draft_token", "data": piece})
        elif self.streamed or not _may_decline(self._held):
            self._token(self._renumber.feed(self._marks.feed(self._held if self.streamed else self._held.lstrip()), self._passages))
            self._held, self.streamed = "", True

    def withdraw(self, reason: str) -> None:
        """Take back what was passed on, because another model begins anew."""
        if self._held:
            self._write({"type": "draft_rejected", "data": {"reason": reason, "next": "fallback"}})
            self._held = ""

    def close(self) -> None:
        """Pass on what is left."""
        if self.streamed:
            self._token((self._renumber.feed(self._marks.flush(), self._passages) + self._renumber.flush()).rstrip())

    @property
    def text(self) -> str:
        """What was streamed as final, its markers numbered like the passages."""
        return self._marks.text

    def _token(self, text: str) -> None:
        if text:
            self._write({"type": "token", "data": text})


def _may_decline(text: str) -> bool:
    return says_nothing(text) or any(opening.startswith(normalise(text)) for opening in REFUSALS)


def write(services: Services, task: Task, runtime: Runtime[Context]) -> Draft:
    """Draft and judge. Raises ModelError when no model answers."""
    before = before_answer(task.question, task.expert, task.scores, task.hits, services.reader, task.superior_probability)
    live = task.live and task.confidence.before.probability(before) >= services.policy.stream_at
    messages = grounded(services.expert(task.expert).prompt, task.question, task.hits, task.history)
    outlet = Outlet(tell, task.hits, live=live, asked=task.question)
    check = partial(go_on, runtime)
    reply, notices, broken = call(
        services, task.spec, task.tier, messages, check, outlet=outlet, explicit=task.explicit, pictures=task.pictures
    )
    outlet.close()
    reply = replace(reply, text=outlet.text) if outlet.streamed else reply
    text, verdict = judge(services, task, reply, before, final=outlet.streamed)
    if outlet.streamed and unsupported(text, task.hits, task.question):
        notices.append(Notice("model", "A marker in this answer points to a passage that does not support it, and is no source."))
    if reply.finish_reason == "length":
        notices.append(Notice("truncated", "The model stopped at its length limit: the answer may be incomplete."))
    if any(gives_orders(hit.passage.text) for hit in task.hits):
        notices.append(Notice("injection", "A retrieved passage holds text that looks like orders to the model; it was treated as text."))
    return Draft(
        task.expert, text, task.hits, reply.use, verdict, task.attempt, reply.finish_reason, outlet.streamed, notices, task.tier, broken
    )


def judge(services: Services, task: Task, reply: Reply, before: Mapping[str, float], *, final: bool = False) -> tuple[str, Verdict]:
    """The draft's text, with citations added where it has none, and its verdict. `before`: the signals from before the answer.

    A `final` text was streamed: it stays as it is.
    """
    text = reply.text.strip()
    if not final and not says_nothing(text):
        text = mark(text, task.hits, task.question)
    citations = cite(text, task.hits, task.question)
    after = after_answer(task.question, text, task.hits, citations, services.encoder, services.reader, reply.token_logprobs)
    parts = {**before, **after}
    return text, Verdict(task.confidence.after.probability(parts), parts, not says_nothing(text), citations)


def call(
    services: Services,
    spec: str,
    tier: Tier,
    messages: Sequence[BaseMessage],
    check: Callable[[], None],
    *,
    outlet: Outlet | None = None,
    explicit: bool = False,
    pictures: Sequence[Picture] = (),
) -> tuple[Reply, list[Notice], list[ModelUse]]:
    """Ask `spec`, then its fallbacks; gives the reply, why another one was asked, and what those took that broke off.

    `outlet` gets the pieces: once they are final, no other model is asked, and one that breaks off has answered with what it said, with a
    notice. An `explicit` one is not replaced when its key is missing.
    `check` is called while the model is waited for; what it raises ends the call. `pictures` go with the last message to models that see
    them; fallbacks that do not come last. Raises ModelError when no model answers.
    """
    notices: list[Notice] = []
    broken: list[ModelUse] = []
    if explicit:
        services.model(spec)
    eyes = partial(sees, home=services.settings.home)
    others = fallbacks(spec, services.settings)
    candidates = [spec, *(sorted(others, key=lambda other: not eyes(other)) if pictures else others)]
    for n, candidate in enumerate(candidates):
        # Who stands in for the superior model is not one by that.
        own = tier if candidate == spec or tier_of(candidate, services.settings) is Tier.SUPERIOR else Tier.INFERIOR
        try:
            sent_now = with_pictures(messages, pictures) if pictures and eyes(candidate) else list(messages)
            pieces = stream(services.model(candidate), candidate, own, sent_now, settings=services.settings, check=check)
            while True:
                try:
                    piece = next(pieces)
                except StopIteration as done:
                    reply: Reply = done.value
                    return reply, notices, broken
                if outlet:
                    outlet.feed(piece)
        except ModelError as error:
            if outlet and outlet.streamed and error.spent:
                return Reply(outlet.text, error.spent, "error"), [*notices, Notice("truncated", str(error))], broken
            if n + 1 == len(candidates):
                raise
            if outlet:
                outlet.withdraw(f"{candidate} did not finish")
            broken += [error.spent] if error.spent else []
            notices.append(Notice("fallback", f"{error} Asked {candidates[n + 1]} instead."))
    raise AssertionError("unreachable: the last candidate returns or raises")


def go_on(runtime: Runtime[Context]) -> None:
    """Raises GraphDrained when the caller has closed the stream: nobody reads the answer that a model is still writing."""
    if runtime.drain_requested:
        raise GraphDrained(runtime.drain_reason or "")


def renumbered(drafts: Sequence[Draft]) -> tuple[str, list[Any]]:
    """The drafts' texts as one, with citations numbered in order of appearance over all of them, and those citations.

    What stands in brackets in the text of no expert is no marker, and stays.
    """
    numbers = Renumber()
    texts, citations = [], []
    for draft in drafts:
        passages = [hit.passage for hit in draft.hits]
        texts.append(numbers.whole(draft.text, passages) if draft.expert else draft.text)
        citations += [replace(c, n=numbers.numbers[passages[c.n - 1]]) for c in draft.verdict.citations]
    return "\n\n".join(texts), sorted(citations, key=lambda c: c.n)
