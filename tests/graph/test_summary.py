"""Of a long conversation a model is sent a summary and the last messages; all of it stays in the store."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from itertools import chain
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import RunControl

from core.errors import ModelUnavailableError
from graph.api import compiled, lone_turn
from graph.prompts import HISTORY
from graph.state import Context, State
from graph.summary import KEPT, LINE_CHARS, MESSAGE_CHARS, SUMMARY_CHARS, SUMMED_UP, TASK, VERSION, WINDOW, recalled
from graph.telling import unheard
from store.runs import thread_runs
from tests.graph.conftest import GOOD, QUESTION, Table

Make = Callable[..., Table]
LINE = f"- {QUESTION} {GOOD}"


def state_of(t: Table) -> dict[str, Any]:
    return dict(compiled(t.services).get_state({"configurable": {"thread_id": "t"}}).values)


def talk(turns: int, answer: str = GOOD) -> list[AnyMessage]:
    return list(chain.from_iterable((HumanMessage(f"Question {n}?"), AIMessage(answer)) for n in range(turns)))


def test_a_short_conversation_is_sent_as_it_is() -> None:
    said = talk(HISTORY // 2)
    assert recalled(State(messages=[*said, HumanMessage("Now?")])) == said


def test_what_leaves_the_window_is_summed_up(table: Make) -> None:
    turns = 6
    t = table([GOOD] * turns)
    for _ in range(turns):
        t.ask(thread="t")
    sent = t.weak.history[-1][1:-1]
    assert [m.type for m in sent] == ["human", "ai"] * (HISTORY // 2)
    # Of the five turns before, the last two are sent as they were.
    assert sent[0].text == "\n".join([SUMMED_UP, *[LINE] * (turns - 1 - WINDOW // 2)])
    assert [m.text for m in sent[2:]] == [QUESTION, f"{GOOD} [1]"] * (WINDOW // 2)


def test_a_conversation_that_its_caller_keeps_is_summed_up_too(table: Make) -> None:
    t = table([GOOD])
    lone_turn([*talk(50), HumanMessage(QUESTION)], Context(), t.services)(RunControl(), unheard)
    sent = t.weak.history[0][1:-1]
    assert len(sent) == HISTORY
    assert sent[0].text.endswith(f"- Question 46? {GOOD}\n- Question 47? {GOOD}")
    assert len(sent[0].text) <= SUMMARY_CHARS + len(SUMMED_UP) + 1


def test_what_is_sent_is_bounded_however_long_the_messages_are() -> None:
    said = talk(40, "word " * 20_000)
    sent = recalled(State(messages=[*said, HumanMessage("Now?")]))
    assert sum(len(m.text) for m in sent) < SUMMARY_CHARS + WINDOW * (MESSAGE_CHARS + 10) + 100
    assert sent[-1].text == f"{('word ' * 20_000)[:MESSAGE_CHARS]} …"
    assert max(len(line) for line in sent[0].text.splitlines()) <= 2 * LINE_CHARS + 3


def test_a_long_thread_keeps_its_checkpoint_small_and_every_turn_readable(table: Make) -> None:
    turns = KEPT // 2 + 4
    t = table([GOOD] * turns)
    for _ in range(turns):
        t.ask(thread="t")
    kept = state_of(t)["messages"]
    assert (len(kept), kept[0].type, kept[-1].type) == (KEPT, "human", "ai")
    assert len(thread_runs(t.services.engine, "t")) == turns
    assert state_of(t)["summary"] == "\n".join([LINE] * (turns - WINDOW // 2))


@pytest.mark.parametrize(("reply", "expected"), [("They asked about green tea.", "They asked about green tea."), ("x" * 9_000, None)])
def test_a_summary_that_gets_too_long_is_written_anew_by_a_model(table: Make, reply: str, expected: str | None) -> None:
    t = table([GOOD, GOOD, reply])
    long = "\n".join(["- An older question? Its answer." * 10] * 7)
    graph, config = compiled(t.services), {"configurable": {"thread_id": "t"}}
    t.ask(thread="t")
    said = talk(4)
    graph.update_state(config, {"messages": said, "summary": long[:SUMMARY_CHARS]}, as_node="respond")  # type: ignore[arg-type]
    answer = t.ask(thread="t")
    system, asked = t.weak.history[2]
    assert system.text == TASK
    assert asked.text.endswith(f"- Question 2? {GOOD}")
    assert [use.model for use in answer.models] == ["fake:weak"] * 2
    kept = state_of(t)["summary"]
    assert kept == expected or (expected is None and kept.endswith(f"- Question 2? {GOOD}") and len(kept) <= SUMMARY_CHARS)


def test_a_model_that_fails_loses_the_oldest_lines_only(table: Make) -> None:
    t = table([GOOD, GOOD, ModelUnavailableError("down")])
    t.ask(thread="t")
    graph, config = compiled(t.services), {"configurable": {"thread_id": "t"}}
    lines = [f"- Question {n:03}? {'Its answer. ' * 8}" for n in range(18)]
    graph.update_state(config, {"messages": talk(4), "summary": "\n".join(lines)[:SUMMARY_CHARS]}, as_node="respond")  # type: ignore[arg-type]
    answer = t.ask(thread="t")
    assert answer.notices == []
    kept = state_of(t)["summary"].splitlines()
    assert kept[-1] == f"- Question 2? {GOOD}"
    assert lines[0] not in kept
    assert kept[0] in lines


def test_the_prompts_version_is_raised_with_it() -> None:
    assert (VERSION, sha256(TASK.encode()).hexdigest()[:8]) == (1, "ff0c6173")
