"""decline: what no expert covers, politely; or the general model's answer, marked as ungrounded, where one is configured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from langgraph.runtime import Runtime

from core.pictures import unmarked
from core.types import ModelUse, Notice, Tier
from graph.drafting import Outlet, call, go_on
from graph.language import language_line
from graph.prompts import ungrounded
from graph.services import Services
from graph.smalltalk import offer, reply, small_talk
from graph.state import Context, Draft, State, Verdict
from graph.summary import recalled
from graph.telling import tell
from llms.registry import only_reads, seeing

UNGROUNDED = "This answer comes from a general model and cites no documents: check it before you rely on it."
REFUSED = "Nobody was asked, as you decided. Ask something else, or ask again and choose an expert."


def decline(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """A draft that is final: no expert is asked. Small talk does not change the topic: a follow-up leans on the question before it."""
    if kind := small_talk(state["question"]):
        text = reply(kind, services.experts.values())
        return {"drafts": [final(text)], "question": state.get("topic") or state["question"]}
    if state.get("refused"):
        return {"drafts": [final(REFUSED)], "question": state.get("topic") or state["question"]}
    general = services.settings.general
    declined = declined_text(services, unmarked(state["messages"][-1].text))
    if not general:
        return {"drafts": [final(declined)]}
    messages, pictures = ungrounded(state["question"], recalled(state)), state.get("pictures") or ()
    said, notices, broken = call(
        services,
        seeing(general, services.settings) if pictures else general,
        Tier.SUPERIOR,
        messages,
        partial(go_on, runtime),
        outlet=Outlet(tell, [], live=False),
        pictures=pictures,
    )
    if only_reads(said.use.model):
        return {"drafts": [final(declined, notices)], "spent": [*broken, said.use]}
    return {"drafts": [_draft(said.text.strip(), said.use, [*notices, Notice("model", UNGROUNDED)])], "spent": broken}


def declined_text(services: Services, question: str) -> str:
    """What is covered, with a question to try for each expert."""
    opening = language_line(question) or "That is outside what my experts cover, so I would rather not guess."
    return f"{opening}\n\n{offer(services.experts.values())}"


def final(text: str, notices: Sequence[Notice] = ()) -> Draft:
    """What no model has said."""
    return _draft(text, ModelUse("", "", 0, 0, 0.0, 0.0), list(notices))


def _draft(text: str, use: ModelUse, notices: list[Notice]) -> Draft:
    verdict = Verdict(confidence=0.0, parts={}, answers=bool(use.model), citations=[])
    return Draft("", text, [], use, verdict, 1, notices=notices)
