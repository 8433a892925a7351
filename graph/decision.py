"""What led to an answer and is no part of it: the question that was answered, and every draft with its verdict. Stored beside the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from graph.state import Draft


def decision(state: Mapping[str, Any]) -> dict[str, Any]:
    """{question, safety, drafts}, ready for JSON. question: the one that stands alone; safety: the rule that applied, or None."""
    return {"question": state["question"], "safety": state.get("safety"), "drafts": [_draft(draft) for draft in state["drafts"]]}


def _draft(draft: Draft) -> dict[str, Any]:
    """Its passages by their ids: the run itself holds the texts of those that the answer rests on."""
    verdict = draft.verdict
    return {
        "expert": draft.expert,
        "attempt": draft.attempt,
        "asked": str(draft.asked),
        **asdict(draft.use),
        "finish_reason": draft.finish_reason,
        "answers": verdict.answers,
        "confidence": round(verdict.confidence, 4),
        "parts": {name: round(value, 4) for name, value in verdict.parts.items()},
        "passages": [hit.passage.id for hit in draft.hits],
        "text": draft.text,
    }
