"""One question back where a message is too vague, and what the reply makes of the two."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.runtime import RunControl

from core.types import Outcome
from graph.api import lone_turn, run
from graph.clarifying import OPENING, asked_back, clarifying_question, is_vague, with_reply
from graph.nodes.route import scored
from graph.services import Services
from graph.state import Context
from graph.telling import unheard
from tests.graph.conftest import GOOD, QUESTION, Table

Make = Callable[..., Table]


@pytest.mark.parametrize(
    "text", ["it hurts", "help", "what about the pressure?", "why?", "I have a problem", "something is wrong", "how does it work?"]
)
def test_what_names_nothing_is_vague(tiny: Services, text: str) -> None:
    assert is_vague(tiny, text, {"tea": 0.4, "bees": 0.1, "out_of_scope": 0.5})


@pytest.mark.parametrize("text", [QUESTION, "hello", "thanks", "Who won the cup in 1966?", "my cat is ill", "睡眠周期有多长？", "Warum?"])
def test_what_names_something_is_not(tiny: Services, text: str) -> None:
    assert not is_vague(tiny, text, {"tea": 0.4, "bees": 0.1, "out_of_scope": 0.5})


def test_nobody_is_asked_back_where_an_expert_is_likely(tiny: Services) -> None:
    assert not is_vague(tiny, "how does it work?", {"tea": 0.95, "bees": 0.03, "out_of_scope": 0.02})


@pytest.mark.parametrize("item", ["tea", "bees"])
def test_the_experts_own_questions_are_never_asked_back_about(tiny: Services, item: str) -> None:
    asked = [q.question for q in tiny.expert(item).questions("train", "dev", "test")]
    assert [q for q in asked if is_vague(tiny, q, scored(tiny, q, None)[1])] == []


def test_the_question_back_says_what_is_missing(tiny: Services) -> None:
    text = clarifying_question("it hurts", tiny.experts.values())
    assert text.startswith(f"{OPENING} what do you mean by “it”?")
    assert clarifying_question("help", tiny.experts.values()).startswith(f"{OPENING} what is it about?")
    assert "- **Bees**: " in text


@pytest.mark.parametrize(
    ("vague", "reply", "expected"),
    [
        ("it hurts", "my jaw in the morning", "my jaw in the morning: it hurts"),
        ("what about the pressure?", "I mean my tyres", "my tyres: what about the pressure?"),
        ("why?", "What is REM sleep?", "What is REM sleep?"),
    ],
)
def test_the_reply_is_joined_unless_it_is_a_question_of_its_own(vague: str, reply: str, expected: str) -> None:
    assert with_reply(vague, reply) == expected


def test_a_vague_message_costs_nothing_and_is_asked_back_about_once(table: Make) -> None:
    t = table([GOOD] * 4)
    answer = t.ask("it hurts", thread="t")
    assert (answer.outcome, answer.expert, answer.models, answer.cost_usd) == (Outcome.CLARIFY, None, [], 0.0)
    assert (answer.answer.startswith(OPENING), answer.route.out_of_scope) == (True, False)
    assert t.ask("it still hurts", thread="t").outcome is not Outcome.CLARIFY


def test_the_next_message_is_put_together_with_it(tiny: Services) -> None:
    assert run("how long?", Context(), "t", tiny).outcome is Outcome.CLARIFY
    assert "four minutes" in run("steeping black tea", Context(), "t", tiny).answer


def test_what_was_talked_about_before_stays_the_topic(table: Make) -> None:
    t = table([GOOD, "How long does black tea steep?", GOOD])
    t.ask(thread="t")
    assert t.ask("I have a problem", thread="t").outcome is Outcome.CLARIFY
    assert t.ask("thanks", thread="t").outcome is Outcome.DECLINED
    t.ask("and black tea?", thread="t")
    assert t.weak.history[-1][-1].text.endswith("Question: How long does black tea steep?")


def test_a_conversation_that_its_caller_keeps_goes_on_the_same_way(tiny: Services) -> None:
    said = clarifying_question("how long?", tiny.experts.values())
    history = [HumanMessage("how long?"), AIMessage(said)]
    assert asked_back(history) == "how long?"
    last = lone_turn([*history, HumanMessage("steeping black tea")], Context(), tiny)(RunControl(), unheard)
    assert "four minutes" in last["data"]["answer"]
    assert asked_back([HumanMessage("how long?"), AIMessage("Two minutes.")]) is None
