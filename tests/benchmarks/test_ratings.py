"""The gate of the confidence, end to end on the tiny experts: questions asked, rated and learnt from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.ratings import MALLORY, asked, judged, played, shifted, simulated, turned_round
from evaluation.cases import cases
from graph.confidence import AFTER
from graph.services import Services
from store.feedback import Feedback, all_feedback
from training.feedback.confidence import FROZEN_KINDS

TIMES = 25


def often(given: list[Feedback]) -> list[Feedback]:
    """As if so many people had asked much the same: the tiny experts have few questions."""
    return [
        replace(one, run_id=f"{one.run_id}-{n}", question=f"{one.question} {n}", owner=f"person {n}") for n in range(TIMES) for one in given
    ]


def test_a_tenth_of_the_ratings_is_turned_round() -> None:
    given = [Feedback(str(n), None, 0.0, "?", 1 if n % 2 else -1) for n in range(40)]
    wrong = [n for n, one in enumerate(turned_round(given, 0.1)) if one.rating != given[n].rating]
    assert len(wrong) == 4
    assert [one.rating for one in turned_round(given, 1.0)] == [-1 if n % 2 else 1 for n in range(40)]
    assert turned_round(given, 0.0) == given


def test_honest_ratings_mend_a_confidence_that_is_too_unsure_and_poison_moves_nothing(tiny: Services) -> None:
    given = asked(tiny)
    assert [(one.rating, set(AFTER) <= set(one.features)) for one in given] == [(1, True)] * 8
    assert all_feedback(tiny.engine) == []
    rated, judging = often(given), cases(tiny, ["test"], kinds=FROZEN_KINDS)
    shipped = tiny.shipped_confidence
    poison, why = played(tiny, "poison", [replace(one, owner=MALLORY) for one in turned_round(rated, 1.0)], judging)
    assert (poison.metrics["promoted"], poison.metrics["ECE after"]) == (0.0, poison.metrics["ECE before"])
    assert why == ["poison: the held-out feedback comes from fewer than 3 people."]
    tiny.__dict__["shipped_confidence"] = shifted(shipped, -8.0)
    before = judged(tiny.confidence, judging)
    mended, why = played(tiny, "too unsure", turned_round(rated, 0.1), judging)
    assert (mended.metrics["promoted"], why) == (1.0, [])
    assert mended.metrics["held-out after"] > mended.metrics["held-out before"]
    assert mended.metrics["ECE before"] == before["ECE"]
    assert mended.metrics["ECE after"] < before["ECE"] - 0.05
    assert mended.metrics["AUROC after"] == pytest.approx(before["AUROC"])
    assert judged(tiny.confidence, judging) == before


def test_all_scenarios_are_played_and_leave_nothing_behind(tiny: Services) -> None:
    shipped = tiny.confidence
    found = simulated(tiny)
    assert [(row.name, row.metrics["ratings"]) for row in found.rows] == [
        ("as it ships", 8.0),
        ("too sure", 8.0),
        ("too unsure", 8.0),
        ("poison", 8.0),
        ("too unsure, and poison", 16.0),
    ]
    assert [row.metrics["promoted"] for row in found.rows] == [0.0] * 5
    assert all("held-out rows of feedback judge it; 20 are needed." in note for note in found.notes[:-1])
    assert found.notes[-1] == "100.0% of the rated answers hold the key fact. ECE and AUROC: 12 answers to test questions."
    assert (tiny.confidence, all_feedback(tiny.engine)) == (shipped, [])
