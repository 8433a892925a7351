"""Conversations: follow-ups, restarts, owners; questions that cannot be asked; and how much work a turn is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from sqlalchemy import event

import graph
from core.errors import InputError, ModelUnavailableError, StoreError
from core.settings import Settings
from core.types import Answer, Outcome
from graph.api import compiled, events, run
from graph.nodes.prepare import clean_question
from graph.services import Services
from graph.state import Context
from llms.fake import ScriptedModel
from retrieval.encoder import MAX_TOKENS, OnnxEncoder, exported_model, packaged_model
from retrieval.onnx_text import OnnxText
from store.runs import thread_runs, threads
from tests.graph.conftest import GOOD, QUESTION, Table, refused

Make = Callable[..., Table]


def conversation(services: Services, thread: str) -> list[tuple[str, str]]:
    state = compiled(services).get_state({"configurable": {"thread_id": thread}})
    return [(m.type, m.text) for m in state.values["messages"]]


def test_a_followup_is_asked_with_its_topic_and_answered(tiny: Services) -> None:
    run(QUESTION, Context(), "t", tiny)
    answer = run("and black tea?", Context(), "t", tiny)
    assert "four minutes" in answer.answer
    state = compiled(tiny).get_state({"configurable": {"thread_id": "t"}}).values
    assert state["question"] == "How long does black tea steep?"
    assert [text for kind, text in conversation(tiny, "t") if kind == "human"] == [QUESTION, "and black tea?"]


def test_a_thread_survives_a_restart(tiny: Services, tiny_settings: Settings) -> None:
    run(QUESTION, Context(), "t", tiny)
    again = Services(tiny_settings)
    answer = run("and black tea?", Context(), "t", again)
    assert "four minutes" in answer.answer
    assert len(thread_runs(again.engine, "t")) == 2
    compiled(again).checkpointer.conn.close()  # type: ignore[union-attr]


def test_two_threads_do_not_mix(tiny: Services) -> None:
    run("How long does a summer worker live?", Context(), "bees", tiny)
    run(QUESTION, Context(), "tea", tiny)
    assert "six weeks" in run("How long do they live?", Context(), "bees", tiny).answer
    assert [text for kind, text in conversation(tiny, "tea") if kind == "human"] == [QUESTION]


def test_without_a_thread_each_question_starts_a_new_one(table: Make) -> None:
    t = table([GOOD, GOOD])
    first, second = t.ask(), t.ask("and how long does green tea steep?")
    assert first.thread_id != second.thread_id
    assert first.run_id != second.run_id
    assert [m.type for m in t.weak.history[1]] == ["system", "human"]


def test_the_model_is_sent_the_conversation(table: Make) -> None:
    t = table([GOOD, "How long does green tea steep in winter?", GOOD])
    t.ask(thread="t")
    t.ask("And how long does it steep in winter?", thread="t")
    sent = t.weak.history[2]
    assert [(m.type, m.text) for m in sent[1:3]] == [("human", QUESTION), ("ai", f"{GOOD} [1]")]
    assert sent[-1].text.endswith("Question: How long does green tea steep in winter?")


def test_the_owner_is_recorded(table: Make) -> None:
    t = table([GOOD, GOOD])
    t.ask(thread="hers", owner="ann")
    t.ask(thread="nobodys")
    assert [x.thread_id for x in threads(t.services.engine, "ann")] == ["hers"]
    assert [x.thread_id for x in threads(t.services.engine)] == ["nobodys"]
    for thread, owner in (("hers", None), ("hers", "bob"), ("nobodys", "ann")):
        with refused(InputError, r"Expected a conversation of your own; this one is another owner's\. Choose another name .*"):
            t.ask(thread=thread, owner=owner)
    assert len(conversation(t.services, "hers")) == len(t.weak.history) == 2


def test_many_at_once_do_not_mix(tiny: Services) -> None:
    asked = {
        QUESTION: "two minutes",
        "How long does a summer worker live?": "six weeks",
        "Who decoded the dance of the bees?": "Karl von Frisch",
    }
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda question: run(question, Context(), None, tiny), list(asked) * 4))
    assert [fact in answer.answer for fact, answer in zip(list(asked.values()) * 4, answers, strict=True)] == [True] * 12
    assert sum(len(thread_runs(tiny.engine, answer.thread_id)) for answer in answers) == 12


@pytest.mark.parametrize(
    "spoil", [lambda home: home.write_text("a file"), lambda home: (home.mkdir(), (home / "threads.db").write_bytes(b"x" * 4096))]
)
def test_a_home_that_cannot_be_used_is_one_line(tiny_settings: Settings, spoil: Callable[[Path], Any]) -> None:
    spoil(tiny_settings.home)
    with refused(StoreError, "The conversations in .* cannot be used: .*, or set SWITCHYARD_HOME.*"):
        run(QUESTION, Context(), "t", Services(tiny_settings))


def test_a_failed_turn_is_forgotten_by_the_next_one(table: Make) -> None:
    t = table([GOOD, GOOD])
    t.ask(thread="t")
    for bad in ("  ", "x" * 100_000):
        with pytest.raises(InputError):
            t.ask(bad, thread="t")
    t.ask(thread="t")
    assert conversation(t.services, "t") == [("human", QUESTION), ("ai", f"{GOOD} [1]")] * 2
    assert [m.type for m in t.weak.history[1]] == ["system", "human", "ai", "human"]
    assert len(thread_runs(t.services.engine, "t")) == 2


def stored_threads(services: Services) -> set[str]:
    rows = compiled(services).checkpointer.conn.execute("select thread_id from checkpoints union select thread_id from writes")  # type: ignore[union-attr]
    return {name for (name,) in rows}


def test_a_new_thread_whose_turn_fails_is_not_kept(table: Make) -> None:
    t = table([GOOD])
    t.ask(thread="kept")
    for thread in ("new", "kept"):
        with pytest.raises(InputError):
            t.ask("  ", thread=thread)
    assert stored_threads(t.services) == {"kept"}
    t.services._load = lambda *_: ScriptedModel(replies=[ModelUnavailableError("down")])
    with pytest.raises(ModelUnavailableError):
        t.ask(thread="new", model="fake:down")
    assert stored_threads(t.services) == {"kept"}


def test_a_new_thread_whose_caller_leaves_is_not_kept(table: Make) -> None:
    t = table([GOOD])
    stream = events(QUESTION, Context(), "left", t.services)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert stored_threads(t.services) == set()


def test_a_question_whose_model_failed_can_be_asked_again(table: Make) -> None:
    down = ModelUnavailableError("down")
    t = table([down, GOOD])
    t.services._load = lambda spec, *_: t.weak  # the local reader is down too
    t.weak.replies.insert(0, down)
    t.weak.replies.insert(0, down)
    with pytest.raises(ModelUnavailableError):
        t.ask(thread="t")
    t.weak.replies[:] = [GOOD]
    assert t.ask(thread="t").outcome is Outcome.ANSWERED
    assert [kind for kind, _ in conversation(t.services, "t")] == ["human", "ai"]


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00\x01\x1b", "?!…", "\u200b\u202e\ufeff", "\ud83d"])
def test_an_empty_question_is_refused_in_one_line(table: Make, text: str) -> None:
    with refused(InputError, "Expected a question; got an empty one.*"):
        table([]).ask(text)


def test_a_question_that_is_too_long_is_refused_with_both_numbers(table: Make) -> None:
    with refused(InputError, r"Expected a question of at most 8,000 characters; got 100,000\. Shorten it.*"):
        table([]).ask("x" * 100_000)


def test_a_question_of_a_mere_15_megabytes_is_refused_at_once(table: Make) -> None:
    started = time.perf_counter()
    with refused(InputError, r"Expected a question of at most 8,000 characters; got 15,000,000\. Shorten it.*"):
        table([]).ask("!" * 15_000_000)
    assert time.perf_counter() - started < 1.0


def test_the_name_of_a_conversation_is_no_longer_than_every_database_takes(table: Make) -> None:
    t = table([GOOD])
    with refused(InputError, r"Expected the name of a conversation to have at most 128 characters; this one has 129\."):
        t.ask(thread="n" * 129)
    assert t.weak.history == []
    assert t.ask(thread="n" * 128).thread_id == "n" * 128


def test_the_longest_question_is_answered(tiny: Services) -> None:
    question = "How long does green tea steep? " + "x " * 3984
    assert len(question.strip()) <= 8000
    assert run(question, Context(), "t", tiny).outcome in set(Outcome)


def test_control_characters_are_taken_out_everywhere(table: Make) -> None:
    t = table([GOOD])
    t.ask("How \x1b[1;31mlong\x1b[0m\x00 does\x1b \x1b]8;;http://x\x1b\\green\x1b]8;;\x07 \ud83dtea\u202e \x9b31msteep?", thread="t")
    assert t.weak.history[0][-1].text.endswith(f"Question: {QUESTION}")
    assert conversation(t.services, "t")[0] == ("human", QUESTION)
    assert thread_runs(t.services.engine, "t")[0].question == QUESTION


@given(st.text(max_size=200))
def test_a_clean_question_can_be_stored_and_encoded(text: str) -> None:
    try:
        found = clean_question(text, 100)
    except InputError:
        return
    found.encode("utf-8")
    assert 0 < len(found) <= 100
    assert found == found.strip()
    assert not any(c in found for c in "\x00\x1b\x7f\u202e\ufeff")
    assert clean_question(found, 100) == found


@pytest.mark.parametrize("messages", [[], [AIMessage("Hello")], [HumanMessage("Hi"), AIMessage("Hello")]])
def test_without_a_human_message_there_is_no_question(tiny: Services, messages: list[Any]) -> None:
    with pytest.raises(InputError, match=r"^Expected a question as the last message"):
        graph.build_graph(tiny).invoke({"messages": messages}, context=Context())  # type: ignore[call-overload]


def test_the_compiled_graph_takes_plain_messages_and_a_plain_context(tiny: Services) -> None:
    app = graph.build_graph(tiny, checkpointer=InMemorySaver())
    out = app.invoke(
        {"messages": [("user", QUESTION)]},  # type: ignore[arg-type]
        {"configurable": {"thread_id": "mine"}},
        context={"expert": "tea"},  # type: ignore[arg-type]
    )
    assert set(out) == {"messages", "answer"}
    assert out["messages"][-1].text == out["answer"]["answer"]
    assert out["messages"][-1].additional_kwargs == {"run_id": out["answer"]["run_id"]}
    assert (out["answer"]["thread_id"], out["answer"]["expert"]) == ("mine", "tea")


def test_the_experts_are_nodes_of_the_drawing(tiny: Services) -> None:
    drawn = graph.build_graph(tiny).get_graph()
    assert set(drawn.nodes) == {
        "__start__",
        "prepare",
        "route",
        "tea",
        "bees",
        "superior",
        "review",
        "decline",
        "clarify",
        "decide",
        "respond",
        "__end__",
    }
    edges = {(e.source, e.target) for e in drawn.edges}
    assert {
        ("route", "tea"),
        ("route", "bees"),
        ("route", "decline"),
        ("tea", "decide"),
        ("decide", "superior"),
        ("decide", "tea"),
    } <= edges


def test_ask_and_aask_and_stream_are_one(tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOME", "home"), ("EXPERTS", "experts_dir"), ("INDEXES", "indexes_dir")):
        monkeypatch.setenv(f"SWITCHYARD_{name}", str(getattr(tiny_settings, value)))
    first = graph.ask(QUESTION, expert="tea", thread="t")
    second = asyncio.run(graph.aask(QUESTION, expert="tea", thread="u"))
    third = Answer.from_dict(list(graph.stream(QUESTION, expert="tea", thread="v"))[-1]["data"])
    assert first.answer == second.answer == third.answer
    assert "two minutes" in first.answer
    assert [a.thread_id for a in (first, second, third)] == ["t", "u", "v"]


def test_a_routed_local_answer_encodes_the_question_once(tiny_settings: Settings, minilm: OnnxEncoder) -> None:
    asked: list[str] = []

    class Counting(OnnxText):
        def _vector(self, text: str) -> Any:
            asked.append(text)
            return super()._vector(text)

    services = Services(tiny_settings)
    services.encoder = encoder = OnnxEncoder(minilm.cache_dir)
    model = exported_model(minilm.cache_dir / minilm.fingerprint, minilm.precision)
    encoder.__dict__["_model"] = Counting(model, packaged_model() / "tokenizer.json", max_tokens=MAX_TOKENS)
    run(QUESTION, Context(), "warm", services)
    asked.clear()
    question = "How long should black tea steep in the pot?"
    answer = run(question, Context(), "t", services)
    assert answer.outcome is Outcome.ANSWERED
    assert asked.count(question) == 1
    # What is left are sentences and titles of passages that no earlier question has brought up, and the claims of the draft.
    known = {hit.passage.title for hit in answer.passages} | {s for hit in answer.passages for s in hit.passage.text.split(". ")}
    assert all(any(text.rstrip(".") in k or k in text for k in known) for text in asked if text != question)
    run(question, Context(), "t2", services)
    assert asked.count(question) == 1
    compiled(services).checkpointer.conn.close()  # type: ignore[union-attr]


def test_a_turn_is_two_statements_in_the_store(table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.learnt.LOOK_S", float("inf"))
    t = table([GOOD, GOOD])
    t.ask(thread="t")
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement.split()[0])

    event.listen(t.services.engine, "before_cursor_execute", note)
    t.ask(thread="t")
    assert statements == ["INSERT", "INSERT"], "the run, and what led to it"


def test_a_turn_writes_one_checkpoint(table: Make) -> None:
    t = table([GOOD, GOOD])
    for n in (1, 2):
        t.ask(thread="t")
        rows = compiled(t.services).checkpointer.conn.execute("select count(*) from checkpoints").fetchone()  # type: ignore[union-attr]
        assert rows == (n,)
