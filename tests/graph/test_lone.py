"""One expert, and nothing that belongs to none: every question is its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from core.settings import Settings
from core.types import Outcome
from graph.nodes.route import find_route
from tests.graph.conftest import GOOD, QUESTION, Table

Make = Callable[..., Table]


@pytest.fixture
def lone(own_experts: Settings) -> dict[str, object]:
    """Settings over the expert `tea` alone, with no out-of-scope bank."""
    shutil.rmtree(own_experts.experts_dir / "bees")
    (own_experts.experts_dir / "out_of_scope.csv").unlink()
    return {"experts_dir": own_experts.experts_dir, "indexes_dir": own_experts.indexes_dir}


def test_every_question_goes_to_the_only_expert(table: Make, lone: dict[str, object]) -> None:
    t = table([GOOD, GOOD], **lone)
    answer = t.ask(QUESTION)
    assert (answer.outcome, answer.expert, answer.answer) == (Outcome.ANSWERED, "tea", f"{GOOD} [1]")
    assert (answer.route.scores, answer.route.confidence, answer.route.out_of_scope) == ({"tea": 1.0}, 1.0, False)
    assert t.ask("Who won the world cup?").expert == "tea"


def test_small_talk_and_what_must_not_wait_are_still_known(table: Make, lone: dict[str, object]) -> None:
    t = table([], [GOOD], **lone)
    assert t.ask("hello").outcome is Outcome.DECLINED
    assert t.ask("I spilled boiling tea over my arm").notices[0].kind == "safety"


def test_a_bank_brings_the_router_back(table: Make, own_experts: Settings) -> None:
    shutil.rmtree(own_experts.experts_dir / "bees")
    t = table([], experts_dir=own_experts.experts_dir, indexes_dir=own_experts.indexes_dir)
    assert set(find_route(t.services, QUESTION).scores) == {"tea", "out_of_scope"}
