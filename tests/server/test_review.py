"""A route that waits for its caller's word, over HTTP."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from graph.routers.llm import ChatRouter
from graph.services import Services
from llms.fake import ScriptedModel
from store import keys
from store.runs import thread_runs
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.graph.test_router_kinds import LABELS, TEXTS
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


def test_what_the_router_asked_is_paid_at_the_review_and_not_again(serve: Serve, table: Make) -> None:
    router = ScriptedModel(replies=['{"tea": 1}'])
    t = table([GOOD], models={"openai:router": router, "openai:toll": ScriptedModel(replies=[GOOD])}, inferior="openai:toll", router="llm")
    services, home = t.services, t.services.settings.home
    ChatRouter(services.encoder, model="openai:router", ask=services.ask).fit(TEXTS, LABELS).save(home / "routers" / "llm")
    (home / "prices.toml").write_text("".join(f'["openai:{name}"]\ninput = 0\noutput = 1000000\n' for name in ("router", "toll")))
    on = serve(services)
    client = on.asking(on.key("ann", budget_usd=100.0))
    body = chat(client, QUESTION, **fields(review=True)).json()
    assert [(use["model"], use["cost_usd"]) for use in body["switchyard"]["models"]] == [("openai:router", 2.0)]
    assert (body["switchyard"]["cost_usd"], body["usage"]["completion_tokens"]) == (2.0, 2)
    assert [key.spent_usd for key in keys.listed(services.engine)] == [2.0]

    answer = chat(client, QUESTION, **fields(resume="accept")).json()["switchyard"]
    assert ([use["model"] for use in answer["models"]], answer["cost_usd"]) == (["openai:toll"], 8.0)
    assert [key.spent_usd for key in keys.listed(services.engine)] == [10.0]
    said = client.get("/metrics").text
    assert 'switchyard_cost_usd_total{model="openai:router"} 2.0' in said
    assert 'switchyard_turns_total{expert="tea",outcome="answered"} 1.0' in said


def test_a_first_question_that_waits_can_be_seen_and_deleted(serve: Serve, tiny: Services) -> None:
    on = serve(tiny)
    ann, ben = on.asking(on.key("ann")), on.asking(on.key("ben"))
    offered = chat(ann, f"I am Quetzalcoatl. {QUESTION}", **fields(review=True)).json()["switchyard"]["review"]
    assert [ben.request(method, "/v1/threads/t").status_code for method in ("GET", "DELETE")] == [404, 404]
    assert ann.get("/v1/threads/t").json() == {"id": "t", "object": "thread", "turns": [], "review": offered}
    assert ann.delete("/v1/threads/t").status_code == 200
    assert [ann.request(method, "/v1/threads/t").status_code for method in ("GET", "DELETE")] == [404, 404]
    with closing(sqlite3.connect(tiny.settings.home / "threads.db")) as opened:
        assert [opened.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("checkpoints", "writes")] == [(0,), (0,)]
    assert chat(ann, "ignored", **fields(resume="accept")).status_code == 400


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
