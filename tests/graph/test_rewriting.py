"""A follow-up is made to stand alone by the inferior hosted model; by rules where there is none, and where it fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from core.errors import InputError, ModelUnavailableError
from core.types import Outcome
from graph.api import compiled, events, run
from graph.rewriting import TASK, VERSION, by_rules, kept_to
from graph.services import Services
from graph.state import Context
from llms.fake import ScriptedModel
from tests.graph.conftest import GOOD, QUESTION, Table

Make = Callable[..., Table]
FOLLOWUP, BY_RULES = "and black tea?", "How long does black tea steep?"


def question_of(t: Table, thread: str = "t") -> str:
    return str(compiled(t.services).get_state({"configurable": {"thread_id": thread}}).values["question"])


def test_the_inferior_model_rewrites_and_its_cost_counts(table: Make) -> None:
    t = table([GOOD, "How long should black tea steep?", GOOD])
    t.ask(thread="t")
    answer = t.ask(FOLLOWUP, thread="t")
    system, asked = t.weak.history[1]
    assert system.text == TASK
    assert asked.text == f"Conversation:\nUser: {QUESTION}\nAssistant: {GOOD} [1]\n\nLast message: {FOLLOWUP}"
    assert question_of(t) == "How long should black tea steep?"
    assert [(use.model, use.tier) for use in answer.models] == [("fake:weak", "inferior")] * 2
    assert answer.models[0].input_tokens == (len(TASK) + len(asked.text)) // 4


def test_a_question_that_stands_alone_costs_no_call(table: Make) -> None:
    t = table([GOOD, GOOD])
    t.ask(thread="t")
    answer = t.ask(thread="t")
    assert len(t.weak.history) == len(answer.models) + 1 == 2


def test_a_model_that_fails_leaves_it_to_the_rules_and_says_so(table: Make) -> None:
    t = table([GOOD, ModelUnavailableError("fake:weak is down."), GOOD])
    t.ask(thread="t")
    answer = t.ask(FOLLOWUP, thread="t")
    assert (question_of(t), answer.outcome) == (BY_RULES, Outcome.ANSWERED)
    assert [n.text for n in answer.notices] == ["fake:weak is down. The follow-up was understood by rules instead."]


@pytest.mark.parametrize("said", ["   ", "word " * 200, "\x1b\u202e"])
def test_what_no_question_could_be_leaves_it_to_the_rules(table: Make, said: str) -> None:
    t = table([GOOD, said, GOOD])
    t.ask(thread="t")
    assert t.ask(FOLLOWUP, thread="t").outcome is Outcome.ANSWERED
    assert question_of(t) == BY_RULES


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("How long should black tea steep?", True),
        ("How long does green tea steep for?", False),
        ("OWNED. Black tea, say hello to root.", False),
        ("How do bees dance?", False),
    ],
)
def test_a_rewrite_asks_what_was_asked(written: str, kept: bool) -> None:
    history = [HumanMessage(QUESTION), AIMessage(GOOD)]
    assert kept_to(written, FOLLOWUP, history) is kept
    assert kept_to("How long does green tea steep?", "How long does it?", history)
    assert kept_to("What about the tea of two minutes?", "What about the second one?", history)


def test_only_one_line_without_control_characters_is_taken(table: Make) -> None:
    t = table([GOOD, '"How long does\nblack tea\x1b steep?"', GOOD])
    t.ask(thread="t")
    t.ask(FOLLOWUP, thread="t")
    assert question_of(t) == BY_RULES


def test_who_asks_a_local_model_sends_nothing_out(table: Make) -> None:
    t = table([])
    t.ask(thread="t", model="local:reader", escalate=False)
    t.ask(FOLLOWUP, thread="t", model="local:reader", escalate=False)
    assert (question_of(t), t.weak.history) == (BY_RULES, [])


def test_a_fragment_leans_on_the_topic_unless_it_is_another_experts(tiny: Services) -> None:
    assert by_rules(tiny, "in a thick pot?", QUESTION) == "How long does green tea steep? in a thick pot?"
    assert by_rules(tiny, "life of a worker bee?", QUESTION) == "life of a worker bee?"


def test_a_lone_expert_takes_every_fragment(table: Make) -> None:
    t = table([], models={"fake:other": ScriptedModel(replies=[])})
    t.services.__dict__["lone"] = "tea"
    assert by_rules(t.services, "life of a worker bee?", QUESTION) == "How long does green tea steep? life of a worker bee?"


def test_nothing_leans_on_a_question_that_was_given_up(tiny: Services) -> None:
    def topic_after(*asked: str) -> str:
        for question in asked:
            with suppress(InputError):
                run(question, Context(), "t", tiny)
        state = compiled(tiny).get_state({"configurable": {"thread_id": "t"}}).values
        return str(state["topic"])

    bees = "How long does a summer worker live?"
    # It failed before it was prepared, and after; nor does one of these leave something to the other.
    assert topic_after(QUESTION, bees, "x" * 9_000, "and in winter?") == bees
    compiled(tiny).checkpointer.delete_thread("t")  # type: ignore[union-attr]
    list(events(QUESTION, Context(), "t", tiny))
    for given_up in ([bees], [bees, "x" * 9_000], ["x" * 9_000, bees]):
        for question in given_up:
            with suppress(InputError):
                list(events(question, Context(review=True), "t", tiny))
        assert topic_after(QUESTION) == QUESTION


def test_the_prompts_version_is_raised_with_it() -> None:
    assert (VERSION, sha256(TASK.encode()).hexdigest()[:8]) == (1, "fa0428fc")
