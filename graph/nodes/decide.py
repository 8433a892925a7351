"""decide: accept the draft, let the expert retrieve again, escalate, or say "I do not know"."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import Send

from core.types import Route, Tier
from graph.nodes.route import to_experts
from graph.policy import Policy
from graph.services import Services
from graph.state import Context, Draft, State
from graph.telling import tell


def decide(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Count the attempt and say why a draft is not accepted."""
    step = next_step(services, state, runtime)
    if step in ("retry", "superior"):
        draft = best(state["drafts"])
        tell({"type": "draft_rejected", "data": {"reason": reason(draft, services.policy), "next": step}})
    return {"attempt": state["attempt"] + 1} if step == "retry" else {}


def after_decide(services: Services, state: State, runtime: Runtime[Context]) -> str | list[Send]:
    """The ladder's next rung: the experts again, superior, or respond."""
    if state["attempt"] > max(d.attempt for d in state["drafts"]):
        return to_experts(state, Route(**state["route"]).experts, state["attempt"])
    step = next_step(services, state, runtime)
    return "superior" if step == "superior" else "respond"


def next_step(services: Services, state: State, runtime: Runtime[Context]) -> str:
    """One of respond, retry and superior, for the drafts so far."""
    drafts, policy = state["drafts"], services.policy
    draft = best(drafts)
    if draft.verdict.confidence >= policy.accept_at or any(d.asked == Tier.SUPERIOR for d in drafts) or any(d.streamed for d in drafts):
        return "respond"
    context = runtime.context or Context()
    if state["attempt"] == 1 and draft.verdict.confidence < policy.retry_at:
        return "retry"
    strong = services.tiers(draft.expert, state.get("ladder"), pictures=bool(state.get("pictures")))[Tier.SUPERIOR]
    return "superior" if context.escalate and strong != draft.use.model else "respond"


def best(drafts: list[Draft]) -> Draft:
    """The draft with the highest confidence; the later of two equals."""
    return max(reversed(drafts), key=lambda d: d.verdict.confidence)


def reason(draft: Draft, policy: Policy) -> str:
    """Why a draft was not accepted, in words."""
    if not draft.verdict.answers:
        return "the passages do not answer"
    return f"confidence {draft.verdict.confidence:.2f} is below {policy.accept_at:.2f}"
