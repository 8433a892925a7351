"""clarify: ask back once, where a message is too vague to be answered. No model is asked."""

from __future__ import annotations

from typing import Any

from graph.clarifying import clarifying_question
from graph.nodes.decline import final
from graph.services import Services
from graph.state import State


def clarify(services: Services, state: State) -> dict[str, Any]:
    """A draft that is final. What the conversation was about before stays its topic."""
    text = clarifying_question(state["question"], services.experts.values())
    return {"drafts": [final(text)], "question": state.get("topic") or state["question"]}
