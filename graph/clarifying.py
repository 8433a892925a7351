"""One clarifying question for a message that is too vague to be answered, and what the reply to it makes of the two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from core.pictures import unmarked
from core.types import OUT_OF_SCOPE
from experts.discovery import Expert
from graph.followup import is_followup, leans, without_preamble
from graph.joining import ASKS, OF_NOTHING
from graph.language import not_english
from graph.nodes.expert import search
from graph.services import Services
from graph.smalltalk import offer, small_talk
from retrieval.text import terms

OPENING = "One question first:"
READ = 5
"""So many passages are looked into before somebody is asked back."""
_SAYS_NOTHING = OF_NOTHING.union(
    terms(
        "problem explain wrong feel feeling advice noise thing things stuff something someone issue issues trouble tip tips worried "
        "question hurt hurts hurting pain break broke broken loud quiet info information know want ask understand idea try advise "
        "assistance hello please get got give go going say said tell well working wondering"
    )
)
"""Stems of words that tell nothing of what a message is about."""
_NAMED = re.compile(r"\b(?:it|they|them|he|him|she|this|that|these|those)\b", re.I)


def is_vague(services: Services, question: str, scores: dict[str, float]) -> bool:
    """Whether a message that stands alone is too vague: its words name nothing, no expert is likely, and no document answers it.

    scores: the router's probability of every label.
    """
    # No words that are known here: whoever writes another language is told so, not asked for more of it.
    if small_talk(question) or not_english(question) or not names_nothing(question):
        return False
    likeliest = max((name for name in scores if name != OUT_OF_SCOPE), key=lambda name: scores[name])
    if scores[likeliest] >= services.policy.clarify_below:
        return False
    passages = [hit.to_read() for hit in search(services, likeliest, question, READ)]
    return services.reader.answers(question, passages) < services.policy.answer_at


def names_nothing(question: str) -> bool:
    """Whether its words tell nothing of what it is about."""
    told = [term for term in terms(without_preamble(question)[0]) if term not in _SAYS_NOTHING]
    return not told or (len(told) == 1 and is_followup(question))


def clarifying_question(question: str, experts: Iterable[Expert]) -> str:
    """What to ask back, and what can be asked."""
    named = _NAMED.search(question)
    asked = f"what do you mean by “{named[0].lower()}”?" if named else "what is it about?"
    if not question:
        return f"{OPENING} what does your picture show, and what would you like to know? I cannot look at it here.\n\n{offer(experts)}"
    return f"{OPENING} {asked} A few words are enough, I put them together with what you wrote.\n\n{offer(experts)}"


def asked_back(history: Sequence[AnyMessage]) -> str | None:
    """The vague message that the last answer asked back about; None when it did not."""
    match history[-2:]:
        case [HumanMessage() as vague, AIMessage() as said] if said.text.startswith(OPENING):
            return unmarked(vague.text)
    return None


def with_reply(vague: str, reply: str) -> str:
    """The vague message with what was said when asked back: "my jaw: it hurts". A reply that is a question of its own stands for itself."""
    said, _ = without_preamble(reply)
    if ASKS.match(said) and not leans(reply):
        return said
    return f"{said.rstrip('?!. ')}: {vague}"
