"""What a build would call, and what that may cost: shown before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from llms.prices import CHARS_A_TOKEN, cost_usd
from store import ledger
from training.building import judging
from training.building.calls import Call
from training.building.dataset import Plan
from training.building.instructions import Instruction

EXPECTED_TOKENS = 300
"""Of a reply, where nothing is known."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One model's calls. known: those in the ledger already, which cost nothing.

    expected_usd: with replies of EXPECTED_TOKENS; most_usd: with the longest ones. Both for the calls that are left, None without a price.
    """

    model: str
    purpose: str
    calls: int
    known: int
    expected_usd: float | None
    most_usd: float | None

    @property
    def left(self) -> int:
        """Calls to make."""
        return self.calls - self.known


def estimate(plan: Plan, instructions: Sequence[Instruction], engine: Engine, home: Path, *, fresh: bool = False) -> list[Estimate]:
    """An estimate for each model, the judge last."""
    calls = {model: [plan.answer_call(model, one) for one in instructions] for model in plan.models}
    known = {} if fresh else ledger.answered(engine, [call.key for of in calls.values() for call in of])
    found = [of_calls(model, "answers", made, known, home) for model, made in calls.items()]
    if plan.judge:
        found.append(_judging(plan, instructions, known, engine, home))
    return found


def of_calls(model: str, purpose: str, calls: Sequence[Call], known: dict[str, ledger.Entry], home: Path) -> Estimate:
    """The estimate for calls of one model that can be written down already; calls that are alike are one."""
    alike = {call.key: call for call in calls}
    left = [call for key, call in alike.items() if key not in known]
    read = sum(call.usual_tokens for call in left)
    written = sum(min(EXPECTED_TOKENS, call.max_tokens) for call in left)
    most = cost_usd(model, sum(call.most_tokens for call in left), sum(call.max_tokens for call in left), home)
    return Estimate(model, purpose, len(alike), len(alike) - len(left), cost_usd(model, read, written, home), most)


def _judging(plan: Plan, instructions: Sequence[Instruction], answers: dict[str, ledger.Entry], engine: Engine, home: Path) -> Estimate:
    """The judge's calls: exact for the answers that are known, and for the others as if each took EXPECTED_TOKENS, or all it may."""
    assert plan.judge is not None
    exact: list[Call] = []
    unwritten = expected = most = 0
    in_prompt = 1 if plan.rubric == judging.GRADED else 2
    frames = [(one, plan.judge_calls(one, {model: model for model in plan.models})) for one in instructions]
    # Instructions that are alike are judged once.
    for one, frame in {tuple(call.key for call in frame): (one, frame) for one, frame in frames}.values():
        have = {m: answers[key].text for m in plan.models if (key := plan.answer_call(m, one).key) in answers}
        written = plan.judge_calls(one, have)
        exact += written
        missing = plan.most_judge_calls(len(plan.models)) - plan.most_judge_calls(len(have))
        unwritten += missing
        expected += missing * (frame[0].usual_tokens + in_prompt * EXPECTED_TOKENS) if frame else 0
        most += missing * (frame[0].most_tokens + in_prompt * plan.max_tokens * CHARS_A_TOKEN) if frame else 0
    known = ledger.answered(engine, [call.key for call in exact])
    found = of_calls(plan.judge, "judging", exact, known, home)
    more = cost_usd(plan.judge, expected, unwritten * min(EXPECTED_TOKENS, judging.MAX_TOKENS), home)
    more_most = cost_usd(plan.judge, most, unwritten * judging.MAX_TOKENS, home)
    return Estimate(
        plan.judge, found.purpose, found.calls + unwritten, found.known, _sum(found.expected_usd, more), _sum(found.most_usd, more_most)
    )


def total(found: Sequence[Estimate]) -> tuple[float | None, float | None]:
    """(expected, most) of all together in USD; None where a price is unknown that is needed."""
    needed = [one for one in found if one.left]
    expected = most = 0.0
    for one in needed:
        if one.expected_usd is None or one.most_usd is None:
            return None, None
        expected, most = expected + one.expected_usd, most + one.most_usd
    return expected, most


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
