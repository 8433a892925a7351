"""What people say of answers is checked before it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InputError, UnknownNameError
from core.types import Answer
from graph.api import run
from graph.feedback import MAX_COMMENT_CHARS, MAX_TEXT_CHARS, give, take_back
from graph.services import Services
from graph.state import Context
from store.feedback import all_feedback
from store.runs import delete_thread

QUESTION = "How long does green tea steep?"


@pytest.fixture
def answer(tiny: Services) -> Answer:
    return run(QUESTION, Context(owner="ann"), None, tiny)


def test_everything_that_can_be_said_is_kept_with_the_runs_signals(tiny: Services, answer: Answer) -> None:
    n = answer.citations[0].n
    said = give(
        tiny, answer.run_id, owner="ann", rating=-1, expert="bees", wrong_citations=[n, n], text=" Two\x00 minutes. ", comment="\x1b"
    )
    [kept] = all_feedback(tiny.engine)
    assert (kept.id, kept.question, kept.routed, kept.features) == (said, QUESTION, ["tea"], answer.confidence_parts)
    assert (kept.rating, kept.expert, kept.wrong_citations, kept.text, kept.comment) == (-1, "bees", [n], "Two minutes.", None)


def test_it_outlives_its_run_and_can_be_taken_back(tiny: Services, answer: Answer) -> None:
    give(tiny, answer.run_id, owner="ann", rating=1)
    delete_thread(tiny.engine, answer.thread_id)
    assert [one.label for one in all_feedback(tiny.engine)] == ["tea"]
    assert take_back(tiny, answer.run_id, owner=None) is False
    assert take_back(tiny, answer.run_id, owner="ann") is True
    assert all_feedback(tiny.engine) == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "Expected a rating, an expert, wrong_citations, a text or a comment; got none of them."),
        ({"comment": " \x00 "}, "got none of them"),
        ({"rating": 2}, "Expected a rating of -1, 0 or 1; got 2."),
        ({"rating": True}, "got True"),
        ({"wrong_citations": [99]}, r"Expected wrong_citations among the answer's own \(1.*\); got 99\."),
        ({"text": "x" * (MAX_TEXT_CHARS + 1)}, "Expected a text of at most 20,000 characters; got 20,001"),
        ({"comment": "x" * (MAX_COMMENT_CHARS + 1)}, "Expected a comment of at most 2,000 characters"),
        ({"rating": 1, "owner": None}, "Expected the run_id of an answer of yours; got"),
        ({"rating": 1, "owner": "bob"}, "Expected the run_id of an answer of yours; got"),
    ],
)
def test_what_cannot_be_is_refused(tiny: Services, answer: Answer, said: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        give(tiny, answer.run_id, **{"owner": "ann", **said})
    assert all_feedback(tiny.engine) == []


def test_unknown_runs_and_experts_are_refused(tiny: Services, answer: Answer) -> None:
    with pytest.raises(InputError, match="got 'no such run'"):
        give(tiny, "no such run", owner=None, rating=1)
    with pytest.raises(UnknownNameError, match=r"No expert is called 'wasps'\. Known: bees, tea, out_of_scope\."):
        give(tiny, answer.run_id, owner="ann", expert="wasps")
    give(tiny, answer.run_id, owner="ann", expert="out_of_scope")
    assert [one.label for one in all_feedback(tiny.engine)] == ["out_of_scope"]
