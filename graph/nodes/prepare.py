"""prepare: check the question and make a follow-up stand alone."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise, takewhile
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.runtime import Runtime

from core.errors import InputError
from core.pictures import in_words, marked, unmarked
from core.text import plain
from graph.clarifying import asked_back, with_reply
from graph.drafting import go_on
from graph.followup import stand_alone
from graph.pictures import Look, look, taken, without_pictures
from graph.rewriting import Rewritten, in_context
from graph.services import Services
from graph.smalltalk import small_talk
from graph.state import Context, State

_TERMINAL = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""A terminal's colours, moves and links: without their first character they would be left as words."""


def prepare(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Raises InputError for a question that cannot be asked."""
    started = time.perf_counter()
    messages = state.get("messages") or []
    if not messages or not isinstance(messages[-1], HumanMessage):
        raise InputError('Expected a question as the last message, e.g. {"messages": [("user", "How long is a sleep cycle?")]}.')
    context = runtime.context or Context()
    pictures = taken(messages[-1], context)
    question = clean_question(messages[-1].text, services.settings.max_question_chars, needed=not pictures)
    if context.expert != "auto":
        services.expert(context.expert)
    if context.review and not question:
        raise InputError("Expected a question in words: no model looks at the picture before the route is accepted. Write one beside it.")
    seen = Look() if context.review else look(services, question, pictures, partial(go_on, runtime))
    given_up = unanswered(messages)
    history = messages[: len(messages) - 1 - len(given_up)]
    # Nothing leans on a question that was given up; one that was given up before it was prepared has left the state as it was.
    left = state.get("asked") in {message.id for message in given_up}
    topic = (state.get("topic") if left else state.get("question")) or topic_of(history)
    # A picture is closer than the conversation.
    on_its_own = seen.description or not question
    asked = Rewritten(in_words(question, seen.description)) if on_its_own else in_context(services, question, topic, history, runtime)
    return {
        "messages": tidied(messages, marked(question, len(pictures), seen.description)),
        "pictures": pictures,
        "description": seen.description,
        "question": asked.question,
        "asked": messages[-1].id,
        "leans": asked.leans,
        "spent": [*seen.spent, *asked.spent],
        "remarks": [*seen.notices, *asked.notices],
        "topic": topic,
        "started": started,
        "attempt": 1,
    }


def topic_of(history: Sequence[AnyMessage]) -> str | None:
    """What a conversation that comes without a state is about: its answered questions, each made to stand alone; None without any."""
    topic = vague = None
    for asked, said in pairwise(history):
        if isinstance(asked, HumanMessage) and isinstance(said, AIMessage) and not small_talk(asked.text):
            said_alone = unmarked(asked.text)
            topic = with_reply(vague, said_alone) if vague else stand_alone(said_alone, topic)
            vague = asked_back([asked, said])
    return topic


def unanswered(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Questions before the last message whose turn failed, or that were given up before their route was accepted."""
    return list(takewhile(lambda message: isinstance(message, HumanMessage), reversed(messages[:-1])))


def tidied(messages: Sequence[AnyMessage], question: str) -> list[AnyMessage | RemoveMessage]:
    """Changes to the conversation: the question as it is answered, and without those before it that have no answer."""
    asked = messages[-1]
    changes: list[AnyMessage | RemoveMessage] = [without_pictures(m) for m in messages[:-1] if not isinstance(m.content, str)]
    # Nobody but the expert speaks as the system, and no tool has spoken.
    foreign = [message for message in messages[:-1] if not isinstance(message, HumanMessage | AIMessage)]
    changes += [RemoveMessage(id=message.id) for message in [*foreign, *unanswered(messages)] if message.id]
    if asked.content != question:
        changes.append(asked.model_copy(update={"content": question}))
    return changes


def clean_question(text: str, limit: int, *, needed: bool = True) -> str:
    """Without control characters. Raises InputError when it is `needed` and nothing is left, or more than `limit` characters."""
    # What is far too long is refused before anything looks through it.
    question = plain(_TERMINAL.sub("", text)).strip() if len(text) <= 4 * limit else text
    if len(question) > limit:
        raise InputError(
            f"Expected a question of at most {limit:,} characters; got {len(question):,}. Shorten it, or put it into an expert's corpus."
        )
    if not re.search(r"\w", question) and not small_talk(question):
        if not needed:
            return ""
        raise InputError('Expected a question; got an empty one. Write one, e.g. "How long is a sleep cycle?"')
    return question
