"""The table of what people said of answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from core.settings import Settings
from store.engine import engine
from store.feedback import Feedback, all_feedback, delete_feedback, delete_feedback_of, feedback_of_runs, save
from tests.postgres import BOTH

SAID = Feedback("run-1", None, 10.0, "why do bees dance", 1, None, [2, 3], "They point.", "fine", ["bees"], {"route": 0.5})


@pytest.fixture
def made(tiny_settings: Settings) -> Iterator[Engine]:
    opened = engine(tiny_settings.database)
    yield opened
    opened.dispose()


@BOTH
def test_what_was_said_comes_back(made: Engine) -> None:
    save(made, SAID)
    assert all_feedback(made) == [SAID]
    assert SAID.as_dict()["id"] == SAID.id


@BOTH
def test_who_speaks_again_replaces_what_was_said_and_others_do_not(made: Engine) -> None:
    again, other = replace(SAID, created_at=30.0, rating=-1), replace(SAID, created_at=20.0, owner="ann")
    for one in (SAID, other, again):
        save(made, one)
    assert all_feedback(made) == [other, again]
    assert feedback_of_runs(made, ["run-1", "run-2"], None) == {"run-1": again}
    assert feedback_of_runs(made, ["run-1"], "ann") == {"run-1": other}
    assert feedback_of_runs(made, ["run-1"], "bob") == {}


@BOTH
def test_deletion_by_id_and_by_person(made: Engine) -> None:
    hers = [replace(SAID, run_id=f"run-{n}", owner="ann") for n in (2, 3)]
    for one in (SAID, *hers):
        save(made, one)
    assert delete_feedback(made, [hers[0].id, "none"]) == 1
    assert delete_feedback_of(made, "ann") == 1
    assert all_feedback(made) == [SAID]


@pytest.mark.parametrize(
    ("changes", "label", "acceptable"),
    [
        ({"rating": 1}, "bees", True),
        ({"rating": 1, "routed": []}, "out_of_scope", True),
        ({"rating": 1, "routed": ["bees", "tea"]}, None, True),
        ({"rating": -1}, None, False),
        ({"rating": 0}, None, None),
        ({"expert": "tea"}, "tea", False),
        ({"rating": 1, "expert": "tea"}, "tea", True),
        ({"wrong_citations": [1]}, None, False),
        ({"text": "They point."}, None, False),
        ({"comment": "hm"}, None, None),
    ],
)
def test_what_it_says_of_route_and_answer(changes: dict[str, object], label: str | None, acceptable: bool | None) -> None:
    said = replace(Feedback("run-1", None, 10.0, "why do bees dance", routed=["bees"]), **changes)  # type: ignore[arg-type]
    assert (said.label, said.acceptable) == (label, acceptable)
