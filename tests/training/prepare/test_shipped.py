"""The experts' own questions: what `switchyard data prepare` would change of them."""

from __future__ import annotations

import pytest

from core.settings import ROOT
from evaluation.results import silent
from experts.discovery import discover
from training.prepare.recipe import Options, prepare

EXPERTS = discover(ROOT / "experts")
KNOWN = {"sleep": ["Why do teenagers stay up so late?"]}
"""Near a dev question by a hair. To take it out of `train` is to train the shipped router anew, which learns from the file: next time."""


@pytest.mark.parametrize("name", EXPERTS)
def test_no_question_leaks_into_another_split(name, minilm):
    found = prepare([ROOT / "experts" / name / "questions.csv"], minilm, Options({}, 0.1, 0.1, 10_000, 0), None, silent)
    assert [one.question for kind in ("leak", "duplicate", "contradiction") for one in found.of_kind(kind)] == KNOWN.get(name, [])
