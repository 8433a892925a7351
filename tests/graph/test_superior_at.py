"""The difficulty router in the route, and the policy that sends a question straight to the superior model."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import IndexFault
from core.settings import ROOT
from core.types import Outcome
from graph.difficulty import DifficultyRouter
from graph.nodes.route import find_route, with_difficulty
from tests.graph.conftest import GOOD, QUESTION
from tests.graph.test_difficulty import HARD, history


@pytest.fixture
def ship(tmp_path):
    """The shipped difficulty router in the artefacts of a table."""
    return lambda: shutil.copytree(ROOT / "artifacts" / "difficulty", tmp_path / "artifacts" / "difficulty")


def needed(shared, question=QUESTION):
    return with_difficulty(shared, question, find_route(shared, question)).superior_probability


def test_without_a_difficulty_router_there_is_no_number(table):
    assert needed(table([GOOD]).services) is None


def test_the_shipped_router_says_how_likely_the_superior_model_is_needed(table, ship):
    given = table([GOOD])
    ship()
    p = needed(given.services)
    assert p == round(float(given.services.difficulty.predict_proba([QUESTION])[0]), 6)
    assert 0 < p < 0.5


def test_ones_own_router_comes_before_the_shipped_one(table, ship):
    given = table([GOOD])
    ship()
    shared = given.services
    DifficultyRouter("xgboost", shared.encoder).fit(*history(200)).save(shared.settings.home / "difficulty")
    assert needed(shared, HARD.format(3)) > 0.6


def test_a_broken_router_is_one_line(table, ship):
    given = table([GOOD])
    (ship() / "weak-bias.npy").write_bytes(b"half")
    with pytest.raises(IndexFault, match=r"cannot be read: .* Run: switchyard train difficulty FILE"):
        needed(given.services)


def test_a_dry_run_asks_no_chat_model(table):
    shared = table([GOOD]).services
    shared.__dict__["difficulty"] = SimpleNamespace(kind="llm", predict_proba=lambda prompts: np.full(len(prompts), 0.5))
    assert needed(shared) == 0.5
    assert with_difficulty(shared, QUESTION, find_route(shared, QUESTION), spend=False).superior_probability is None


def test_from_the_threshold_on_the_superior_model_answers_at_once(table, ship):
    given = table([], [GOOD], policy={"superior_at": 0.01})
    ship()
    answer = given.ask()
    p = answer.route.superior_probability
    assert answer.outcome is Outcome.ESCALATED
    assert (answer.escalation.from_, answer.escalation.to) == ("fake:weak", "fake:strong")
    assert answer.escalation.reason == f"the superior model is needed with probability {p:.2f}"


@pytest.mark.parametrize(
    ("policy", "keywords"), [({"superior_at": 1.0}, {}), ({"superior_at": 0.99}, {}), ({"superior_at": 0.01}, {"escalate": False})]
)
def test_below_it_or_without_escalation_the_inferior_one_does(table, ship, policy, keywords):
    given = table([GOOD], policy=policy)
    ship()
    answer = given.ask(**keywords)
    assert (answer.outcome, answer.escalation) == (Outcome.ANSWERED, None)
