"""A route that waits for its caller's word, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graph.services import Services
from store.runs import thread_runs
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.server.conftest import Running, chat, streamed

Serve = Callable[..., Running]
Make = Callable[..., Table]
SHOWN = "This would be asked of tea. Resume with accept, with another expert (bees, tea), or with decline."


def fields(thread: str = "t", **more: Any) -> dict[str, Any]:
    return {"metadata": {"thread_id": thread}, "switchyard": more}


def test_the_route_is_answered_and_waits_for_the_callers_word(serve: Serve, table: Make) -> None:
    t = table([GOOD])
    on = serve(t.services)
    body = chat(on.http, QUESTION, **fields(review=True)).json()
    assert body["choices"][0]["message"]["content"] == SHOWN
    assert body["usage"]["total_tokens"] == 0
    review = body["switchyard"]["review"]
    assert (review["question"], review["route"]["expert"], review["choices"]) == (QUESTION, "tea", ["accept", "bees", "tea", "decline"])
    assert (t.weak.history, thread_runs(on.services.engine, "t")) == ([], [])

    answer = chat(on.http, "ignored", **fields(resume="accept")).json()["switchyard"]
    assert (answer["expert"], answer["outcome"], answer["thread_id"]) == ("tea", "answered", "t")
    assert [run.question for run in thread_runs(on.services.engine, "t")] == [QUESTION]


def test_streamed_it_is_the_same(serve: Serve, tiny: Services) -> None:
    on = serve(tiny)
    seen = streamed(on.http, QUESTION, **fields(review=True))
    assert "".join(event.text for event in seen) == SHOWN
    seen = streamed(on.http, QUESTION, **fields(resume="bees"))
    assert next(event.whole["switchyard"]["expert"] for event in seen if "switchyard" in event.whole) == "bees"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"resume": "accept"}, "No route waits to be accepted in this conversation. Ask a question first."),
        ({"review": True, "resume": "x" * 300}, "No route waits"),
    ],
)
def test_where_no_route_waits(serve: Serve, tiny: Services, more: dict[str, Any], message: str) -> None:
    response = chat(serve(tiny).http, QUESTION, **fields(**more))
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


def test_it_needs_a_thread(serve: Serve, tiny: Services) -> None:
    response = chat(serve(tiny).http, QUESTION, switchyard={"review": True})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "thread_id")


def test_anothers_route_cannot_be_accepted(serve: Serve, tiny: Services) -> None:
    on = serve(tiny)
    ann, ben = on.asking(on.key("ann")), on.asking(on.key("ben"))
    assert chat(ann, QUESTION, **fields(review=True)).json()["switchyard"]["thread_id"] == "t"
    assert chat(ben, QUESTION, **fields(resume="accept")).status_code == 400
    assert chat(ann, QUESTION, **fields(resume="accept")).json()["switchyard"]["expert"] == "tea"
