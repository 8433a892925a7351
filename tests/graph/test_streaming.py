"""The events of a turn: their order, what they hold, and when the answer comes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.outputs import ChatGenerationChunk

from core.errors import RateLimitedError
from core.settings import ROOT
from core.types import NO_ANSWER, Answer, Notice, Outcome
from graph.api import compiled, events, forget, without_memory
from graph.state import Context
from llms.fake import ScriptedModel
from store.runs import thread_runs
from tests.graph.conftest import BAD, GOOD, HALF, QUESTION, Table

Make = Callable[..., Table]


def kinds(found: list[dict[str, Any]]) -> list[str]:
    """Types of the events, repeated ones once."""
    return [e["type"] for n, e in enumerate(found) if n == 0 or found[n - 1]["type"] != e["type"]]


def joined(found: list[dict[str, Any]], kind: str) -> str:
    return "".join(e["data"] for e in found if e["type"] == kind)


def test_a_held_draft_is_provisional_and_the_answer_comes_whole(table: Make) -> None:
    found = table([["Green tea steeps ", "for two minutes."]]).events()
    assert kinds(found) == ["route", "passages", "draft_token", "token", "answer"]
    assert [e["data"] for e in found if e["type"] == "draft_token"] == ["Green tea steeps ", "for two minutes."]
    assert [e["data"] for e in found if e["type"] == "token"] == [f"{GOOD} [1]"]


def test_a_live_draft_streams_as_the_answer(table: Make) -> None:
    found = table([["Green tea ", "steeps for two", " minutes [", "1", "]. Really [9]", "."]], live=True).events()
    assert kinds(found) == ["route", "passages", "token", "answer"]
    assert [e["data"] for e in found if e["type"] == "token"] == ["Green tea", " steeps for two", " minutes", " [1]. Really", "."]
    assert found[-1]["data"]["answer"] == "Green tea steeps for two minutes [1]. Really."


@pytest.mark.parametrize(
    "pieces",
    [
        ["\n\n Green tea", " steeps for two minutes [2] \n", "\n"],
        [" ", "\n", "Green tea [3][1]", "[1] steeps [9].  "],
        ["The passages do", " not say, but green tea steeps [1]."],
        [GOOD],
        [f"{GOOD} {NO_ANSWER}"],
        ["[1] Green tea.", " [", "2"],
        ["<b>Green tea</b> steeps [1, ", "2]"],
    ],
)
@pytest.mark.parametrize("live", [True, False])
def test_the_tokens_together_are_the_answer(table: Make, pieces: list[str], live: bool) -> None:
    found = table([pieces], live=live, policy={"accept_at": 0.0, "retry_at": 0.0, "answer_at": 0.0}).events()
    assert joined(found, "token") == found[-1]["data"]["answer"]
    assert joined(found, "token") != ""
    assert (joined(found, "draft_token") == "") is live


@pytest.mark.parametrize(
    "refusal",
    [
        *([NO_ANSWER], ["The passages do not", " answer this question", ". Sorry."], [" the passages do NOT answer this question"]),
        *(["I do not know."], ["I’m sorry,", " but I ca", "n’t say."]),
    ],
)
def test_a_live_draft_that_knows_nothing_is_held_for_the_ladder(table: Make, refusal: list[str]) -> None:
    found = table([refusal, NO_ANSWER], [GOOD], live=True).events()
    assert found[-1]["data"]["outcome"] == "escalated"
    assert joined(found, "token") == found[-1]["data"]["answer"] == f"{GOOD} [1]"


def test_a_live_draft_is_never_replaced(table: Make) -> None:
    t = table([f"{BAD} [1]"], [GOOD], live=True)
    answer = Answer.from_dict(t.events()[-1]["data"])
    assert (answer.outcome, answer.answer) == (Outcome.UNKNOWN, f"{BAD} [1]")
    assert t.strong.history == []
    assert (answer.citations, answer.grounded) == ([], False)
    unlisted = "A marker in this answer points to a passage that does not support it, and is no source."
    assert answer.notices == [Notice("model", unlisted)]


def test_where_nobody_reads_along_the_strongest_evidence_spares_no_draft_the_ladder(table: Make) -> None:
    answer = table([BAD, BAD], [GOOD], live=True).ask()
    assert (answer.outcome, answer.answer) == (Outcome.ESCALATED, f"{GOOD} [1]")


def test_a_live_draft_without_markers_gets_them_as_it_streams(table: Make) -> None:
    found = table([["Green tea steeps for", " two minutes.", " Volcanoes erupt", " lava."]], live=True).events()
    assert [e["data"] for e in found if e["type"] == "token"] == ["Green tea steeps for", " two minutes.", " [1] Volcanoes erupt", " lava."]
    answer = Answer.from_dict(found[-1]["data"])
    assert (answer.answer, answer.grounded) == ("Green tea steeps for two minutes. [1] Volcanoes erupt lava.", True)
    assert [(c.n, c.quote) for c in answer.citations] == [(1, GOOD)]


def test_a_held_draft_cites_what_supports_it(table: Make) -> None:
    t = table(
        ["Green tea steeps for two minutes [2]. Volcanoes erupt lava [1]."], policy={"accept_at": 0.0, "retry_at": 0.0, "answer_at": 0.0}
    )
    answer = t.ask()
    assert answer.answer == "Green tea steeps for two minutes [1]. Volcanoes erupt lava."
    assert [c.quote for c in answer.citations] == [GOOD]


def test_a_rejected_draft_says_why_and_what_comes_next(table: Make) -> None:
    found = table([BAD, HALF], [GOOD]).events()
    tried = ["passages", "draft_token"]
    assert kinds(found) == ["route", *tried, "draft_rejected", *tried, "draft_rejected", *tried, "token", "answer"]
    assert [e["data"] for e in found if e["type"] == "draft_rejected"] == [
        {"reason": "confidence 0.00 is below 0.60", "next": "retry"},
        {"reason": "confidence 0.50 is below 0.60", "next": "superior"},
    ]
    assert joined(found, "token") == f"{GOOD} [1]"


def test_a_rejected_draft_never_leaks(table: Make) -> None:
    found = table([BAD, BAD], [BAD]).events()
    assert BAD not in joined(found, "token")
    assert joined(found, "token") == found[-1]["data"]["answer"]


def test_the_events_carry_what_the_answer_holds(table: Make) -> None:
    found = table([GOOD]).events()
    answer = found[-1]["data"]
    assert found[0] == {"type": "route", "data": answer["route"]}
    assert found[1] == {"type": "passages", "data": answer["passages"]}


def test_a_declined_question_has_no_passages(table: Make) -> None:
    found = table([], policy={"out_of_scope_at": 0.0, "look_below": 0.0}).events()
    assert kinds(found) == ["route", "token", "answer"]
    assert joined(found, "token") == found[-1]["data"]["answer"]


def test_the_answer_comes_once_last_and_stored(table: Make) -> None:
    t = table([GOOD])
    seen = []
    for event in events(QUESTION, Context(owner="ann"), "thread-1", t.services):
        seen.append(event["type"])
        if event["type"] == "answer":
            (stored,) = thread_runs(t.services.engine, "thread-1")
            assert (stored.answer, stored.owner, stored.question) == (event["data"], "ann", QUESTION)
            state = compiled(t.services).get_state({"configurable": {"thread_id": "thread-1"}})
            assert state.values["answer"] == event["data"]
            assert state.next == ()
    assert seen.count("answer") == 1
    assert seen[-1] == "answer"


def test_only_the_conversation_is_checkpointed(table: Make) -> None:
    t = table([GOOD])
    t.ask(thread="t")
    values = compiled(t.services).get_state({"configurable": {"thread_id": "t"}}).values
    assert set(values) == {"messages", "summary", "question", "asked", "topic", "route", "answer"}
    assert [(m.type, m.text) for m in values["messages"]] == [("human", QUESTION), ("ai", f"{GOOD} [1]")]


def test_a_failed_turn_of_two_experts_leaves_no_drafts_behind(table: Make) -> None:
    models = {"fake:tea": ScriptedModel(replies=[GOOD]), "fake:bees": Breaking(replies=["Some"])}
    experts = {"tea": {"inferior": "fake:tea"}, "bees": {"inferior": "fake:bees"}}
    t = table([], policy={"both_at": 0.0}, models=models, expert=experts)
    with pytest.raises(ZeroDivisionError):
        t.ask(thread="t")
    rows = compiled(t.services).checkpointer.conn.execute("select channel from writes").fetchall()  # type: ignore[union-attr]
    assert ("drafts",) not in rows


class Breaking(ScriptedModel):
    """Says its piece and breaks, when the other expert is long done."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield next(super()._stream(*args, **kwargs))
        time.sleep(0.3)
        raise ZeroDivisionError  # a bug, for which no other model is asked


class Slow(ScriptedModel):
    """Waits half a minute before each piece, or before each but the first."""

    quick_start: bool

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for n, chunk in enumerate(super()._stream(*args, **kwargs)):
            if n or not self.quick_start:
                time.sleep(30)
            yield chunk


@pytest.mark.parametrize(("quick_start", "until"), [(True, "draft_token"), (False, "passages"), (True, "route")])
def test_a_caller_who_leaves_is_not_kept_waiting(table: Make, quick_start: bool, until: str) -> None:
    slow = Slow(replies=[["Green tea ", "steeps."], GOOD], quick_start=quick_start)
    t = table([], models={"fake:slow": slow}, inferior="fake:slow")
    stream = events(QUESTION, Context(), "t", t.services)
    while next(stream)["type"] != until:
        pass
    started = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 20
    assert thread_runs(t.services.engine, "t") == []


def test_a_caller_who_leaves_does_not_wait_for_a_retry(table: Make) -> None:
    t = table([RateLimitedError("too many requests", retry_after_s=20.0), GOOD], model_retries=1)
    stream = events(QUESTION, Context(), "t", t.services)
    while next(stream)["type"] != "passages":
        pass
    started = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 15


def test_a_thread_goes_on_after_its_caller_left(table: Make) -> None:
    t = table([GOOD, GOOD])
    stream = events("How hot is the water?", Context(), "t", t.services)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    t.weak.replies[:] = [GOOD]
    t.weak.history.clear()
    assert t.ask(thread="t").outcome is Outcome.ANSWERED
    assert [m.type for m in t.weak.history[0]] == ["system", "human"]


def test_forgetting_a_thread_deletes_its_memory_and_its_runs(table: Make) -> None:
    t = table([GOOD, GOOD])
    t.ask(thread="gone")
    t.ask(thread="kept")
    forget("gone", t.services)
    assert thread_runs(t.services.engine, "gone") == []
    assert compiled(t.services).get_state({"configurable": {"thread_id": "gone"}}).values == {}
    assert len(thread_runs(t.services.engine, "kept")) == 1


KILLED = """
import os, sys
from graph.api import events
from graph.state import Context
for event in events("How long does green tea steep?", Context(), "thread-9"):
    if event["type"] == "answer":
        print(event["data"]["run_id"], flush=True)
        os.kill(os.getpid(), 9)
"""


def test_what_was_acknowledged_survives_kill_9(table: Make, tiny_experts: Path, tiny_indexes: Path) -> None:
    t = table([])
    t.services.index("tea")
    environment = {
        "PYTHONPATH": str(ROOT), "SWITCHYARD_EXPERTS": str(tiny_experts), "SWITCHYARD_INDEXES": str(tiny_indexes),
        "SWITCHYARD_HOME": str(t.services.settings.home),
        "SWITCHYARD_ARTIFACTS": str(t.services.settings.artifacts_dir),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (stored,) = thread_runs(t.services.engine, "thread-9")
    assert stored.run_id == done.stdout.strip()
    state = compiled(t.services).get_state({"configurable": {"thread_id": "thread-9"}})
    assert [m.type for m in state.values["messages"]] == ["human", "ai"]
    assert state.values["answer"] == stored.answer


def test_a_turn_whose_answer_alone_is_wanted_leaves_its_thread_for_no_node(table: Make) -> None:
    t, seen = table([GOOD]), set[int]()
    find = t.services.index
    t.services.index = lambda name: (seen.add(threading.get_ident()), find(name))[1]  # type: ignore[method-assign]
    assert t.ask().outcome == "answered"
    assert seen == {threading.get_ident()}


def test_a_turn_pauses_until_its_caller_asks_for_the_next_event(table: Make) -> None:
    t = table([GOOD])
    stream = events(QUESTION, Context(), "t", t.services)
    assert next(stream)["type"] == "route"
    time.sleep(0.3)
    assert t.weak.history == []
    assert kinds(list(stream))[-2:] == ["token", "answer"]


def test_what_is_told_comes_through_langgraphs_own_stream_where_nobody_listens(table: Make) -> None:
    t = table([GOOD])
    asked = {"messages": [("user", QUESTION)]}
    assert kinds(list(without_memory(t.services).stream(asked, stream_mode="custom"))) == ["route", "passages", "draft_token", "token"]
