"""The user's say over a route before it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import graph
from core.errors import InputError
from core.settings import Settings
from core.types import Answer, Outcome
from graph.api import compiled, events, resumed, run, waiting
from graph.nodes.decline import REFUSED
from graph.services import Services
from graph.state import Context
from store.runs import thread_runs
from tests.graph.conftest import GOOD, QUESTION, Table, refused

Make = Callable[..., Table]
REVIEW = Context(review=True)
BEES = "How long does a summer worker live?"


def last(turn: Any) -> dict[str, Any]:
    *_, event = turn
    return dict(event)


def test_the_route_is_shown_and_nothing_is_spent(table: Make) -> None:
    t = table([])
    seen = t.events(thread="t", review=True)
    assert [event["type"] for event in seen] == ["route", "review"]
    offered = seen[-1]["data"]
    assert (offered["question"], offered["route"]["expert"], offered["thread_id"]) == (QUESTION, "tea", "t")
    assert offered["choices"] == ["accept", "bees", "tea", "decline"]
    assert t.weak.history == []
    assert thread_runs(t.services.engine, "t") == []


def test_an_accepted_route_is_answered_and_stored_once(table: Make) -> None:
    t = table([GOOD])
    t.events(thread="t", review=True)
    with refused(InputError, "Expected a conversation of your own.*"):
        list(resumed("accept", Context(review=True, owner="bob"), "t", t.services))
    seen = list(resumed("accept", REVIEW, "t", t.services))
    assert [event["type"] for event in seen if event["type"] != "draft_token"] == ["route", "passages", "token", "answer"]
    answer = Answer.from_dict(seen[-1]["data"])
    assert (answer.outcome, answer.expert, answer.thread_id) == (Outcome.ANSWERED, "tea", "t")
    assert [r.question for r in thread_runs(t.services.engine, "t")] == [QUESTION]


def test_a_route_whose_answer_fails_or_is_left_waits_again(table: Make) -> None:
    t = table([RuntimeError("A bug."), GOOD, GOOD])
    t.events(thread="t", review=True)
    with pytest.raises(RuntimeError, match="A bug"):
        list(resumed("accept", REVIEW, "t", t.services))
    left = resumed("accept", REVIEW, "t", t.services)
    next(left)
    left.close()  # type: ignore[attr-defined]
    offered = waiting("t", given=t.services)
    assert offered
    assert (offered[0], offered[1]["route"]["expert"]) == (QUESTION, "tea")
    with refused(InputError, "Expected a conversation of your own.*"):
        list(resumed("accept", Context(review=True, owner="bob"), "t", t.services))
    assert last(resumed("accept", REVIEW, "t", t.services))["data"]["outcome"] == "answered"
    assert len(thread_runs(t.services.engine, "t")) == 1


def test_another_expert_is_asked_instead(tiny: Services) -> None:
    answer = run(QUESTION, REVIEW, "t", tiny, choose=lambda offered: "bees")
    assert (answer.expert, answer.route.out_of_scope) == ("bees", False)
    assert answer.route.confidence == answer.route.scores["bees"]


def test_declined_nobody_is_asked_not_even_the_general_model(table: Make) -> None:
    t = table([], general="fake:weak")
    answer = run(QUESTION, REVIEW, "t", t.services, choose=lambda offered: "decline")
    assert (answer.outcome, answer.expert, answer.answer, answer.cost_usd) == (Outcome.DECLINED, None, REFUSED, 0.0)
    assert t.weak.history == []


def test_a_route_waits_through_a_restart(tiny: Services, tiny_settings: Settings) -> None:
    list(events(QUESTION, REVIEW, "t", tiny))
    again = Services(tiny_settings)
    answer = last(resumed("accept", REVIEW, "t", again))["data"]
    assert "two minutes" in answer["answer"]
    compiled(again).checkpointer.conn.close()  # type: ignore[union-attr]


def test_another_question_gives_the_one_that_waits_up(tiny: Services) -> None:
    run(QUESTION, Context(), "t", tiny)
    list(events(BEES, REVIEW, "t", tiny))
    # It leans on what was answered, not on what was given up.
    answer = last(events("and black tea?", Context(), "t", tiny))["data"]
    assert "four minutes" in answer["answer"]
    state = compiled(tiny).get_state({"configurable": {"thread_id": "t"}})
    assert [m.text for m in state.values["messages"] if m.type == "human"] == [QUESTION, "and black tea?"]
    assert state.interrupts == ()
    with refused(InputError, "No route waits to be accepted in this conversation.*"):
        last(resumed("accept", REVIEW, "t", tiny))


def test_what_is_no_choice_is_refused_and_the_route_waits_on(tiny: Services) -> None:
    list(events(QUESTION, REVIEW, "t", tiny))
    with refused(InputError, "Expected one of accept, bees, tea, decline as the answer to the route; got 'cats'."):
        last(resumed("cats", REVIEW, "t", tiny))
    assert last(resumed("tea", REVIEW, "t", tiny))["data"]["expert"] == "tea"


def test_whoever_names_an_expert_or_greets_is_not_asked(table: Make) -> None:
    t = table([GOOD])
    assert t.events(expert="tea", review=True)[-1]["type"] == "answer"
    assert t.events("hello", review=True)[-1]["type"] == "answer"


def test_a_followup_is_rewritten_by_rules_while_its_route_waits(table: Make) -> None:
    t = table([GOOD])
    t.ask(thread="t")
    offered = t.events("and black tea?", thread="t", review=True)[-1]["data"]
    assert offered["question"] == "How long does black tea steep?"
    assert len(t.weak.history) == 1


def test_from_python(tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOME", "home"), ("EXPERTS", "experts_dir"), ("INDEXES", "indexes_dir")):
        monkeypatch.setenv(f"SWITCHYARD_{name}", str(getattr(tiny_settings, value)))
    assert graph.ask(QUESTION, review=lambda offered: offered["choices"][1]).expert == "bees"
    assert last(graph.stream(QUESTION, review=True, thread="t"))["type"] == "review"
    assert last(graph.resume("accept", thread="t"))["data"]["expert"] == "tea"


def test_on_a_langgraph_server_it_is_an_interrupt(tiny: Services) -> None:
    app = graph.build_graph(tiny, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "mine"}}
    context: Any = {"review": True}
    out = app.invoke({"messages": [("user", QUESTION)]}, config, context=context)  # type: ignore[arg-type]
    assert out["__interrupt__"][0].value["choices"] == ["accept", "bees", "tea", "decline"]
    again = app.invoke(Command(resume="cats"), config, context=context)
    assert again["__interrupt__"][0].value["question"] == QUESTION
    assert app.invoke(Command(resume="accept"), config, context=context)["answer"]["expert"] == "tea"
