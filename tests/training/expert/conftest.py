from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graph.services import Services
from tests.training.expert import small
from training.expert import compare
from training.expert.examples import by_split
from training.expert.recipe import Job, Recipe


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has learnt nothing would write on and on."""
    monkeypatch.setattr(compare, "LONGEST", 8)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a small model with a chat template. Not to be changed."""
    return small.make(tmp_path_factory.mktemp("base"))


@pytest.fixture
def job(tiny: Services, base: str) -> Callable[..., Job]:
    """`job(progress=..., rank=4)`: a training of the expert tea that takes a moment."""

    def make(**changes: Any) -> Job:
        own = {name: changes.pop(name) for name in ("trials", "progress", "say") if name in changes}
        recipe = Recipe(**{"base": base, "full": True, "epochs": 1, "rate": 1e-2, "rank": 4, "batch": 1, "accumulate": 1, **changes})
        questions = by_split(tiny.expert("tea").questions(), "tea")
        return Job("tea", questions, recipe, "switchyard train expert tea", **own)

    return make


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a model goes."""
    return tmp_path / "models" / "tea"
