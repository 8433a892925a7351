"""A data set as training data: for the difficulty router, the recommender, and for fine-tuning in the forms that trl reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graph.difficulty import ROUTE_TO_INFERIOR, ROUTE_TO_SUPERIOR
from training.building.dataset import Answer, Dataset

MARGIN = 0.2
"""Points of the score by which a preferred answer is better at least: less than that is noise."""
GOOD = 0.5
"""The score from which an answer is worth learning."""
_ROLES = {"system": "system", "human": "user"}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer with its score in [0, 1]."""

    answer: Answer
    score: float
    text: str
    cost: float
    """USD; unknown prices count as dearer than any other, so that ties go to a known one."""
    latency_ms: float


def by_prompt(made: Dataset) -> list[list[Scored]]:
    """The scored answers of each instruction, the best first; of equally good ones the cheapest, then the quickest."""
    found: dict[str, list[Scored]] = {}
    for answer in made.answers:
        score, reply = answer.scores.score, answer.reply
        if reply and score is not None:
            cost = float("inf") if reply.cost_usd is None else reply.cost_usd
            found.setdefault(answer.instruction.id, []).append(Scored(answer, score, reply.text, cost, reply.latency_ms))
    return [sorted(scored, key=lambda s: (-s.score, s.cost, s.latency_ms)) for scored in found.values()]


def recommender(prompts: Sequence[Sequence[Scored]]) -> list[Row]:
    """{"prompt", "scores", "costs", "latency_ms", "best"}: every model's score, and the model to recommend. For `train recommender`."""
    return [
        {
            "prompt": _prompt(scored),
            "scores": {s.answer.model: round(s.score, 6) for s in scored},
            "costs": {s.answer.model: s.cost for s in scored if s.cost != float("inf")},
            "latency_ms": {s.answer.model: round(s.latency_ms, 1) for s in scored},
            "best": scored[0].answer.model,
        }
        for scored in prompts
    ]


def tiers(prompts: Sequence[Sequence[Scored]]) -> tuple[str, str] | None:
    """(inferior, superior): the cheapest model and the one with the best mean score; None where that is one and the same."""
    models: dict[str, list[Scored]] = {}
    for scored in prompts:
        for s in scored:
            models.setdefault(s.answer.model, []).append(s)
    quality = {model: sum(s.score for s in of) / len(of) for model, of in models.items()}
    cost = {model: sum(s.cost for s in of) / len(of) for model, of in models.items()}
    if len(models) < 2:
        return None
    superior = min(models, key=lambda m: (-quality[m], cost[m]))
    inferior = min(models, key=lambda m: (cost[m], quality[m]))
    return None if superior == inferior else (inferior, superior)


def difficulty(prompts: Sequence[Sequence[Scored]], models: tuple[str, str]) -> list[Row]:
    """{"prompt", "label", scores of both}: to the superior model where it did better. For `train difficulty`."""
    found = []
    for scored in prompts:
        scores = {s.answer.model: s.score for s in scored}
        if set(models) <= set(scores):
            weak, strong = (scores[model] for model in models)
            label = ROUTE_TO_SUPERIOR if strong > weak else ROUTE_TO_INFERIOR
            named = {"weak_model": models[0], "strong_model": models[1]}
            found.append({"prompt": _prompt(scored), "label": label, "weak_score": weak, "strong_score": strong, **named})
    return found


def preferences(prompts: Sequence[Sequence[Scored]]) -> list[Row]:
    """The conversational preference form of trl: the best answer chosen, the worst rejected, where they are MARGIN apart."""
    return [
        {
            "prompt": _asked(scored),
            "chosen": _said("assistant", scored[0].text),
            "rejected": _said("assistant", scored[-1].text),
            "score_chosen": scored[0].score,
            "score_rejected": scored[-1].score,
        }
        for scored in prompts
        if scored[0].score - scored[-1].score >= MARGIN
    ]


def sft(prompts: Sequence[Sequence[Scored]]) -> list[Row]:
    """{"messages": [...]}: each instruction with its best answer, where that is GOOD and whole."""
    return [
        {"messages": _asked(scored) + _said("assistant", scored[0].text)}
        for scored in prompts
        if scored[0].score >= GOOD and scored[0].answer.reply and scored[0].answer.reply.finish_reason != "length"
    ]


def _prompt(scored: Sequence[Scored]) -> str:
    return scored[0].answer.instruction.prompt


def _asked(scored: Sequence[Scored]) -> list[dict[str, str]]:
    """What was sent: the instruction alone, or with its passages and rules."""
    return [said for m in scored[0].answer.call.messages for said in _said(_ROLES[m.type], m.text)]


def _said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def files(made: Dataset) -> dict[str, list[Row]]:
    """Name of a file -> its rows; those that have none are left out."""
    prompts = by_prompt(made)
    models = tiers(prompts)
    found = {
        "difficulty.jsonl": difficulty(prompts, models) if models else [],
        "recommender.jsonl": recommender(prompts),
        "preferences.jsonl": preferences(prompts),
        "sft.jsonl": sft(prompts),
    }
    return {name: rows for name, rows in found.items() if rows}
