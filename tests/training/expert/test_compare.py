"""Before and after: what counts as right, and when tuning is said to have helped."""

from __future__ import annotations

import pytest

from core.types import NO_ANSWER
from graph.services import Services
from training.expert.compare import Held, Texts, compare, differences
from training.expert.examples import Maker


@pytest.fixture
def held(tiny: Services) -> Held:
    """Two questions, each with its right passage in reach."""
    items = [i for i in tiny.expert("tea").questions("test") if i.key in ("two minutes", "India")]
    return Held(*Maker(tiny, "tea").served(items, lambda done: None))


def perfect(held: Held) -> Texts:
    return Texts([e.answer for e in held.own], [NO_ANSWER] * len(held.own), [e.item.answer for e in held.own])


def test_what_is_right(tiny: Services, held: Held) -> None:
    assert all(e.right for e in held.own)
    careless = Texts([f"{e.item.answer} [9]" for e in held.own], ["Four minutes. [1]"] * 2, ["I do not know."] * 2)
    report = compare(tiny, "tea", held, perfect(held), careless, "c")
    found = {r.name: r.metrics for r in report.results}
    assert found["tuned"] == {"key_fact": 1.0, "citation_precision": 1.0, "abstain_accuracy": 1.0, "answered": 1.0}
    assert found["base"] == {"key_fact": 1.0, "citation_precision": 0.0, "abstain_accuracy": 0.5, "answered": 1.0}
    assert (found["tuned, no retrieval"], found["base, no retrieval"]) == ({"key_fact": 1.0}, {"key_fact": 0.0})
    assert report.wrong == []
    assert report.notes[0].startswith("2 held-out questions")
    assert report.notes[1] == "Tuning helped. Tuned minus base, with passages:"
    assert report.notes[2] == "key_fact: +0.000 [+0.000, +0.000], no clear difference."
    assert report.notes[3] == "citation_precision: +1.000 [+1.000, +1.000], better."


def test_a_refusal_where_the_answer_stands_there_is_wrong(tiny: Services, held: Held) -> None:
    shy = Texts([NO_ANSWER] * 2, [NO_ANSWER] * 2, [""] * 2)
    report = compare(tiny, "tea", held, shy, perfect(held), "c")
    metrics = next(r.metrics for r in report.results if r.name == "tuned")
    assert metrics == {"key_fact": 0.0, "citation_precision": None, "abstain_accuracy": 0.5, "answered": 0.0}
    assert [w["expected"] for w in report.wrong] == [e.item.key for e in held.own]
    assert "Tuning did harm. Tuned minus base, with passages:" in report.notes
    assert "citation_precision: not defined for both, since one of them cited nothing." in report.notes


def test_no_difference_is_no_gain(held: Held) -> None:
    assert differences(held, perfect(held), perfect(held))[0].startswith("Tuning made no clear difference.")
