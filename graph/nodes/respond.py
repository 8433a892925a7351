"""respond: the answer object, from the accepted drafts; one row in `runs`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from core.pictures import unmarked
from core.types import Answer, Escalation, Hit, Notice, Outcome, Route, Tier
from graph.decision import decision
from graph.drafting import renumbered
from graph.language import language_line
from graph.nodes.decide import best, reason
from graph.pictures import told
from graph.services import Services
from graph.spending import total
from graph.state import Context, Draft, State
from graph.summary import forgotten, sum_up
from graph.telling import tell
from llms.prices import cost_usd
from store.runs import record


def respond(services: Services, state: State, runtime: Runtime[Context], config: RunnableConfig) -> dict[str, Any]:
    """Compose, store, and hand over."""
    context = runtime.context or Context()
    thread = config.get("configurable", {}).get("thread_id")
    summary, spent = sum_up(services, state, runtime) if thread else ("", [])
    state = {**state, "spent": [*(state.get("spent") or []), *spent]}
    answer = compose(services, state, thread and str(thread), context)
    body = answer.as_dict()
    record(services.engine, state["messages"][-1].text, body, answer.confidence_parts, context.owner, decision(state))
    if not any(draft.streamed for draft in state["drafts"]):
        tell({"type": "token", "data": answer.answer})
    said = AIMessage(answer.answer, additional_kwargs={"run_id": answer.run_id})
    return {"answer": body, "messages": [*forgotten(state["messages"]), said], "summary": summary}


def compose(services: Services, state: State, thread: str | None, context: Context) -> Answer:
    """The answer object of a finished turn. A turn that belongs to no thread is one of its own, named like the run."""
    found, drafts = Route(**state["route"]), state["drafts"]
    outcome, kept = (Outcome.CLARIFY, list(drafts)) if state.get("asks_back") else settle(services, found, drafts)
    notice = state.get("notice")
    if notice and outcome is not Outcome.CLARIFY and kept and best(kept).verdict.confidence < services.policy.accept_at:
        kept = []  # under what must not wait, doubtful quotes do harm
    text, citations = renumbered(kept)
    # That a draft broke off matters only where it is part of the answer.
    notices = [n for d in drafts for n in d.notices if n.kind != "truncated" or d in kept]
    if outcome is Outcome.UNKNOWN and not kept:
        text, citations = unknown_text(services, found, unmarked(state["messages"][-1].text)), []
    if notice:
        notices.insert(0, Notice("safety", notice))
        text = "\n\n".join([f"**{notice}**", text]) if kept else f"**{notice}**"
    notices += [*told(services, state, kept or drafts), *(state.get("remarks") or [])]
    models = [*(state.get("spent") or []), *(use for d in drafts for use in (*d.broken, d.use) if use.model)]
    top = best(kept or drafts)
    run_id = uuid.uuid4().hex
    return Answer(
        answer=text,
        expert=found.expert,
        route=found,
        citations=citations,
        passages=_passages(kept or drafts),
        confidence=round(top.verdict.confidence, 4),
        confidence_parts={k: round(v, 4) for k, v in top.verdict.parts.items()},
        outcome=outcome,
        grounded=bool(citations),
        escalation=escalation(services, state, context),
        notices=list(dict.fromkeys(notices)),
        models=models,
        cost_usd=total(m.cost_usd for m in models),
        cost_always_superior_usd=always_superior(services, state),
        latency_ms=round((time.perf_counter() - state["started"]) * 1000, 2),
        thread_id=thread or run_id,
        run_id=run_id,
    )


def settle(services: Services, found: Route, drafts: Sequence[Draft]) -> tuple[Outcome, list[Draft]]:
    """How the turn ended, and the drafts that make the answer."""
    if not found.experts:
        return Outcome.DECLINED, list(drafts)
    fit = [d for d in drafts if d.verdict.answers and d.verdict.confidence >= services.policy.answer_at]
    if not fit:
        # What was streamed as final stays, also where it turned out to be no answer.
        return Outcome.UNKNOWN, [d for d in drafts if d.streamed]
    # For each expert the superior draft speaks, else the surest one, the later of two equals.
    kept = {d.expert: d for d in sorted(fit, key=lambda d: (d.use.tier == Tier.SUPERIOR, d.verdict.confidence))}
    outcome = Outcome.ESCALATED if any(d.use.tier == Tier.SUPERIOR for d in kept.values()) else Outcome.ANSWERED
    return outcome, sorted(kept.values(), key=lambda d: found.experts.index(d.expert))


def escalation(services: Services, state: State, context: Context) -> Escalation | None:
    """From which model to which, and why; None when the superior model was not asked."""
    drafts = state["drafts"]
    strong = next((d for d in drafts if d.use.tier == Tier.SUPERIOR and d.expert), None)
    if strong is None:
        return None
    weak = [d for d in drafts if d.use.tier == Tier.INFERIOR]
    if not weak:
        rule, needed = state.get("safety"), state["route"].get("superior_probability") or 0.0
        why = f"safety: {rule}" if rule else f"the superior model is needed with probability {needed:.2f}"
        if context.model == Tier.SUPERIOR:
            why = "it was asked for"
        usual = services.tiers(strong.expert, state.get("ladder"), pictures=bool(state.get("pictures")))
        return Escalation(usual[Tier.INFERIOR], strong.use.model, why)
    return Escalation(best(weak).use.model, strong.use.model, reason(best(weak), services.policy))


def always_superior(services: Services, state: State) -> float | None:
    """What the turn would have cost had the superior model been asked at once, once for each expert; None when a price is unknown."""
    drafts, home, pictures = state["drafts"], services.settings.home, bool(state.get("pictures"))
    last = max(d.attempt for d in drafts)
    asked = [d for d in drafts if d.asked == Tier.SUPERIOR] or [d for d in drafts if d.use.model and d.attempt == last]
    specs = [services.tiers(d.expert or None, state.get("ladder"), pictures=pictures)[Tier.SUPERIOR] for d in asked]
    costs = [cost_usd(spec, d.use.input_tokens, d.use.output_tokens, home) for spec, d in zip(specs, asked, strict=True)]
    return total([*(use.cost_usd for use in state.get("spent") or []), *costs])


def unknown_text(services: Services, found: Route, question: str) -> str:
    """An honest 'I do not know'; where the question is not in English, that is said first."""
    names = " and ".join(services.expert(name).card.title for name in found.experts)
    text = f"I do not know. I looked through the documents of {names} and found no passage that answers this well enough."
    return "\n\n".join(filter(None, [language_line(question), text]))


def _passages(drafts: Sequence[Draft]) -> list[Hit]:
    return list({hit.passage: hit for d in drafts for hit in d.hits}.values())
