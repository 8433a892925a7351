"""route: where the question belongs, and whether it is one that must not wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import Send

from core.types import OUT_OF_SCOPE, Neighbour, Route, Tier
from graph.clarifying import asked_back, is_vague
from graph.nodes.expert import unread
from graph.policy import Policy
from graph.recommendation import ladder
from graph.safety import urgent
from graph.services import Services
from graph.smalltalk import small_talk
from graph.spending import counted
from graph.state import AUTO, Asked, Context, Ladder, State
from graph.summary import recalled
from graph.telling import tell

NEAREST = 5
LOOKED_AT = 2
"""Passages, the search's first. An answer has ten read to find the best two; that decides no question in doubt otherwise."""


def route(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Find where it goes on, and what models took for it: a router, and what chooses models, may ask one."""
    found, spent = counted(lambda: _routed(services, state, runtime.context or Context()))
    return {**found, "spent": spent}


def _routed(services: Services, state: State, context: Context) -> dict[str, Any]:
    """Score the question and choose its experts; a safety rule's own expert is always asked."""
    question = state["question"]
    found = with_difficulty(services, question, find_route(services, question, context.expert, context.router))
    match = services.safety.match(services.encoder.encode([question])[0], services.policy)
    if state.get("leans") and not found.experts:
        found = kept(found, services.policy)
    if match and match.expert not in found.experts:
        found = forced(found, match.expert)
    vague = not question or (not asked_back(state["messages"][:-1]) and is_vague(services, question, found.scores))
    if vague:
        found = replace(found, expert=None, out_of_scope=False)
    tell({"type": "route", "data": asdict(found)})
    return {**onwards(services, state, found, context), **urgent(match), "asks_back": vague}


def onwards(services: Services, state: State, found: Route, context: Context) -> dict[str, Any]:
    """The route, what will judge the drafts, and the recommended models where it leads to an expert and none is named."""
    asks_ladder = found.experts and context.model in (None, AUTO, Tier.SUPERIOR)
    chosen = ladder(services, state["question"], pictures=bool(state.get("pictures"))) if asks_ladder else None
    return {"route": asdict(found), "confidence": services.confidence, "ladder": chosen}


def find_route(services: Services, question: str, expert: str = "auto", kind: str | None = None) -> Route:
    """Where a question belongs. Encodes it once, by the router's own encoder."""
    used, scores, nearest = scored(services, question, kind)
    chatting = small_talk(question) is not None
    # Whoever names an expert has decided: nothing is to be looked into.
    experts = [] if chatting else choose(services, question, scores) if expert == "auto" else services.policy.choose(scores)
    found = Route(
        expert=None if not experts else experts[0] if len(experts) == 1 else experts,
        scores=scores,
        confidence=max(scores.values()),
        out_of_scope=not experts,
        router=used,
        nearest=nearest,
        thresholds=services.policy.route_thresholds,
    )
    return found if expert == "auto" or chatting else forced(found, services.expert(expert).name)


def with_difficulty(services: Services, question: str, found: Route, *, spend: bool = True) -> Route:
    """The route as `switchyard route` prints it. Kept apart: it takes the encoding that the search and the safety rules need, too.

    Without `spend` a difficulty router that asks a chat model is left out.
    """
    if not spend and services.difficulty and services.difficulty.kind == "llm":
        return found
    return replace(found, superior_probability=superior_probability(services, question))


def scored(services: Services, question: str, kind: str | None) -> tuple[str, dict[str, float], list[Neighbour]]:
    """The router's kind, its probability for each label, and its nearest examples. A lone expert needs no router."""
    if services.lone:
        return "none", {services.lone: 1.0}, []
    router = services.router(kind)
    probabilities = router.predict_proba([question])[0]
    scores = {label: round(float(p), 6) for label, p in zip(router.labels, probabilities, strict=True)}
    return router.kind, scores, router.nearest(question, NEAREST)


def superior_probability(services: Services, question: str) -> float | None:
    """P(the superior model is needed); None while no difficulty router is trained."""
    router = services.difficulty
    return None if router is None else round(float(router.predict_proba([question])[0]), 6)


def choose(services: Services, question: str, scores: Mapping[str, float]) -> list[str]:
    """The policy's choice; before a question in doubt is declined, the likeliest expert's documents are looked into."""
    policy = services.policy
    chosen = policy.choose(scores)
    if chosen or scores.get(OUT_OF_SCOPE, 0.0) >= policy.look_below:
        return chosen
    likeliest = max((name for name in scores if name != OUT_OF_SCOPE), key=lambda name: scores[name])
    passages = [hit.to_read() for hit in unread(services, likeliest, question, LOOKED_AT)[:LOOKED_AT]]
    return [likeliest] if services.reader.answers(question, passages) >= policy.found_at else []


def kept(found: Route, policy: Policy) -> Route:
    """A follow-up of what was answered is declined only where the documents of a question in doubt would not be looked into either."""
    if found.scores.get(OUT_OF_SCOPE, 0.0) >= policy.look_below:
        return found
    return forced(found, max((name for name in found.scores if name != OUT_OF_SCOPE), key=lambda name: found.scores[name]))


def forced(found: Route, expert: str) -> Route:
    """The same scores, but this expert is asked."""
    return replace(found, expert=expert, confidence=found.scores.get(expert, 0.0), out_of_scope=False)


def after_route(services: Services, state: State, runtime: Runtime[Context]) -> str | list[Send]:
    """To clarify; to review, where the user has a say and has not named an expert; else on."""
    if state.get("asks_back"):
        return "clarify"
    context = runtime.context or Context()
    if context.review and context.expert == AUTO and not small_talk(state["question"]):
        return "review"
    return after_review(services, state, runtime)


def after_review(services: Services, state: State, runtime: Runtime[Context]) -> str | list[Send]:
    """To decline, to superior (who asked for it, what must not wait, and what the policy deems too hard), or to the experts."""
    found = Route(**state["route"])
    if not found.experts:
        return "decline"
    context = runtime.context or Context()
    hard = too_hard(services, found, state.get("ladder"), pictures=bool(state.get("pictures")))
    if context.model == Tier.SUPERIOR or (context.escalate and (state.get("safety") or hard)):
        return "superior"
    return to_experts(state, found.experts, attempt=1)


def too_hard(services: Services, found: Route, chosen: Ladder | None = None, *, pictures: bool = False) -> bool:
    """Whether the superior model is asked at once; never where both tiers are one model."""
    tiers = [services.tiers(name, chosen, pictures=pictures) for name in found.experts]
    differ = any(each[Tier.INFERIOR] != each[Tier.SUPERIOR] for each in tiers)
    return differ and (found.superior_probability or 0.0) >= services.policy.superior_at < 1


def to_experts(state: State, experts: list[str], attempt: int) -> list[Send]:
    """One task for each expert."""
    solo = len(experts) == 1 and not state.get("safety")
    asked = Asked(
        question=state["question"],
        history=recalled(state),
        route=state["route"],
        ladder=state.get("ladder"),
        confidence=state["confidence"],
        attempt=attempt,
        solo=solo,
        pictures=state.get("pictures"),
    )
    return [Send(name, asked) for name in experts]
