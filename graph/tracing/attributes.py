"""What a span says of a node's output: names and numbers of the decision, never a text that somebody wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.outputs import ChatGeneration, LLMResult

from graph.state import Draft
from llms.prices import cost_usd

Value = str | bool | int | float | list[str]
Attributes = dict[str, Value]


def of_node(outputs: Mapping[str, Any]) -> Attributes:
    """Of a node: the route, the last draft or the answer, whichever it has made."""
    found: dict[str, Any] = {}
    if route := outputs.get("route"):
        found |= _route(route) | {"safety_rule": outputs.get("safety")}
    if drafts := outputs.get("drafts"):
        found |= _draft(drafts[-1])
    if answer := outputs.get("answer"):
        found |= _answer(answer)
    return _named(found)


def of_search(documents: Sequence[Document]) -> Attributes:
    """Of a search: the ids of its passages, and the best one's score."""
    scores = [document.metadata["score"] for document in documents]
    return _named({"passages": [str(document.id) for document in documents], "best_score": max(scores, default=None)})


def of_turn(answer: Mapping[str, Any]) -> Attributes:
    """Of a whole turn: its answer's numbers, and the tokens of all its models."""
    tokens = {
        f"gen_ai.usage.{direction}_tokens": sum(use[f"{direction}_tokens"] for use in answer["models"]) for direction in ("input", "output")
    }
    return _named(_answer(answer)) | {"gen_ai.conversation.id": answer["thread_id"]} | tokens


def of_model_call(response: LLMResult, spec: str, home: Path) -> Attributes:
    """Of one request to a model: its tokens, its price, and why it ended."""
    generation = response.generations[0][0]
    if not isinstance(generation, ChatGeneration):
        return {}
    about, usage = generation.message.response_metadata, getattr(generation.message, "usage_metadata", None)
    found: Attributes = {}
    if usage:
        found = {f"gen_ai.usage.{name}": usage[name] for name in ("input_tokens", "output_tokens")}
        found |= _named({"cost_usd": cost_usd(spec, usage["input_tokens"], usage["output_tokens"], home)})
    if model := about.get("model_name"):
        found["gen_ai.response.model"] = str(model)
    if reason := about.get("finish_reason"):
        found["gen_ai.response.finish_reasons"] = [str(reason)]
    return found


def _route(route: Mapping[str, Any]) -> dict[str, Any]:
    scores = {f"route.scores.{label}": score for label, score in route["scores"].items()}
    said = {name: route[name] for name in ("router", "confidence", "out_of_scope", "superior_probability")}
    return {"expert": _names(route["expert"]), **{f"route.{name}": value for name, value in said.items()}, **scores}


def _draft(draft: Draft) -> dict[str, Any]:
    return {
        "model": draft.use.model,
        "tier": str(draft.use.tier),
        "attempt": draft.attempt,
        "confidence": draft.verdict.confidence,
        "answers": draft.verdict.answers,
        "cost_usd": draft.use.cost_usd,
    }


def _answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: answer[name] for name in ("run_id", "outcome", "confidence", "grounded", "cost_usd", "latency_ms")}
    return {**said, "expert": _names(answer["expert"]), "escalated": bool(answer["escalation"])}


def _names(expert: str | list[str] | None) -> list[str]:
    return [expert] if isinstance(expert, str) else list(expert or [])


def _named(found: Mapping[str, Any]) -> Attributes:
    """With the project's own prefix, and without what is not known."""
    return {f"switchyard.{name}": value for name, value in found.items() if value is not None}
