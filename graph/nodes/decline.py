"""decline: what no expert covers, politely; or the general model's answer, marked as ungrounded, where one is configured."""

from __future__ import annotations

from functools import partial
from typing import Any

from langgraph.runtime import Runtime

from core.types import ModelUse, Notice, Tier
from graph.drafting import Outlet, call, go_on
from graph.prompts import ungrounded
from graph.services import Services
from graph.smalltalk import offer, reply, small_talk
from graph.state import Context, Draft, State, Verdict
from graph.summary import recalled
from graph.telling import tell
from llms.registry import seeing

UNGROUNDED = "This answer comes from a general model and cites no documents: check it before you rely on it."
REFUSED = "Nobody was asked, as you decided. Ask something else, or ask again and choose an expert."
_FOREIGN = {
    "der die das und ist wie wann warum nicht ein eine wer": "German",
    "le la les du un est et pourquoi quand comment combien une des qui dans": "French",
    "el los las es un por cuándo cuánto cuánta cómo qué una para del": "Spanish",
    "il lo gli perché quando come una è di che": "Italian",
}


def decline(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """A draft that is final: no expert is asked. Small talk does not change the topic: a follow-up leans on the question before it."""
    if kind := small_talk(state["question"]):
        text = reply(kind, services.experts.values())
        return {"drafts": [final(text)], "question": state.get("topic") or state["question"]}
    if state.get("refused"):
        return {"drafts": [final(REFUSED)], "question": state.get("topic") or state["question"]}
    general = services.settings.general
    if not general:
        text = declined_text(services, state["question"])
        return {"drafts": [final(text)]}
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
    return {"drafts": [_draft(said.text.strip(), said.use, [*notices, Notice("model", UNGROUNDED)])], "spent": broken}


def declined_text(services: Services, question: str) -> str:
    """What is covered, with a question to try for each expert."""
    language = not_english(question)
    opening = (
        f"I answer questions in English; this one looks like {language}."
        if language
        else "That is outside what my experts cover, so I would rather not guess."
    )
    return f"{opening}\n\n{offer(services.experts.values())}"


def not_english(question: str) -> str | None:
    """The language a question seems to be in when it is not English."""
    letters = [c for c in question if c.isalpha()]
    if letters and sum(not c.isascii() for c in letters) > len(letters) / 3:
        return "another script"
    said = set(question.lower().replace("?", " ").replace("¿", " ").split())
    counts = {language: len(said & set(markers.split())) for markers, language in _FOREIGN.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= 2 and not said & {"the", "what", "how", "why", "when", "is", "are", "my"} else None


def final(text: str) -> Draft:
    """What is said without asking a model."""
    return _draft(text, ModelUse("", "", 0, 0, 0.0, 0.0), [])


def _draft(text: str, use: ModelUse, notices: list[Notice]) -> Draft:
    verdict = Verdict(confidence=0.0, parts={}, answers=bool(use.model), citations=[])
    return Draft("", text, [], use, verdict, 1, notices=notices)
