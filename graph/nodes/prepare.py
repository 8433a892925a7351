"""prepare: check the question and make a follow-up stand alone."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.runtime import Runtime

from core.errors import InputError
from graph.followup import stand_alone
from graph.services import Services
from graph.smalltalk import small_talk
from graph.state import Context, State

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def prepare(services: Services, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Raises InputError for a question that cannot be asked."""
    messages = state.get("messages") or []
    if not messages or not isinstance(messages[-1], HumanMessage):
        raise InputError('Expected a question as the last message, e.g. {"messages": [("user", "How long is a sleep cycle?")]}.')
    question = clean_question(messages[-1].text, services.settings.max_question_chars)
    if runtime.context and runtime.context.expert != "auto":
        services.expert(runtime.context.expert)
    topic = state.get("question") or topic_of(messages[:-1])
    return {
        "messages": tidied(messages, question),
        "question": question if small_talk(question) else stand_alone(question, topic),
        "topic": topic,
        "started": time.perf_counter(),
        "attempt": 1,
    }


def topic_of(history: Sequence[AnyMessage]) -> str | None:
    """What a conversation that comes without a state is about: its answered questions, each made to stand alone; None without any."""
    topic = None
    for asked, said in pairwise(history):
        if isinstance(asked, HumanMessage) and isinstance(said, AIMessage) and not small_talk(asked.text):
            topic = stand_alone(asked.text, topic)
    return topic


def tidied(messages: Sequence[AnyMessage], question: str) -> list[AnyMessage | RemoveMessage]:
    """Changes to the conversation: the question as it is answered, and without questions whose turn failed before."""
    asked = messages[-1]
    unanswered = takewhile(lambda message: isinstance(message, HumanMessage), reversed(messages[:-1]))
    changes: list[AnyMessage | RemoveMessage] = [RemoveMessage(id=message.id) for message in unanswered if message.id]
    if isinstance(asked.content, str) and asked.content != question:
        changes.append(asked.model_copy(update={"content": question}))
    return changes


def clean_question(text: str, limit: int) -> str:
    """Without control characters. Raises InputError when nothing is left, or more than `limit` characters."""
    question = _CONTROL.sub("", text).strip()
    if not re.search(r"\w", question) and not small_talk(question):
        raise InputError('Expected a question; got an empty one. Try: switchyard ask "How long is a sleep cycle?"')
    if len(question) > limit:
        raise InputError(
            f"Expected a question of at most {limit:,} characters; got {len(question):,}. Shorten it, or put it into an expert's corpus."
        )
    return question
