"""Counted work: what `--help`, a search and a turn may cost. Unlike wall time, these numbers are the same on every machine.

A number that grows is looked into before it is written here; one that falls is written down at once.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from core.settings import ROOT
from graph.api import events, run
from graph.memory import thread_memory
from graph.nodes.route import LOOKED_AT, find_route
from graph.services import Services
from graph.state import Context
from retrieval.passages import PassageFile

QUESTION = "How long does green tea steep?"
CANDIDATES, BYTES = 8, 2268
STATEMENTS = {"BEGIN": 1, "SELECT": 1, "INSERT": 3, "COMMIT": 1}
THREADS = 2
HELP_MODULES = 215


class Work:
    """What was done: runs of the encoder and of the reader, bytes of passages, threads begun, statements in both databases."""

    def __init__(self) -> None:
        self.encoded = self.read = self.bytes = self.threads = 0
        self.statements: Counter[str] = Counter()


class CountingSession:
    """An ONNX session that counts its runs."""

    def __init__(self, session: Any, count: Callable[[], None]) -> None:
        self._session, self._count = session, count

    def run(self, *given: Any) -> Any:
        self._count()
        return self._session.run(*given)


@contextmanager
def counted(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Counts what is done meanwhile; what is remembered from before is not done again. The look at the versions, once a second, is not."""
    work, read_passage, start_thread = Work(), PassageFile.__getitem__, threading.Thread.start
    model, (session, tokenizer) = services.encoder._model, services.reader._network
    memory: Any = thread_memory(services)

    def encoded() -> None:
        work.encoded += 1

    def read() -> None:
        work.read += 1

    def passage(self: PassageFile, n: int) -> Any:
        work.bytes += int(self._offsets[n + 1] - self._offsets[n])
        return read_passage(self, n)

    def begin(self: threading.Thread) -> None:
        work.threads += 1
        start_thread(self)

    def statement(sql: str) -> None:
        work.statements[sql.split(None, 1)[0].upper()] += 1

    def before(connection: Any, cursor: Any, sql: str, *_: Any) -> None:
        statement(sql)

    services.learnt.serving()
    with monkeypatch.context() as patch:
        patch.setattr("graph.learnt.LOOK_S", float("inf"))
        patch.setattr(model, "_session", CountingSession(model._session, encoded))
        patch.setattr(services.reader, "_network", (CountingSession(session, read), tokenizer))
        patch.setattr(PassageFile, "__getitem__", passage)
        patch.setattr(threading.Thread, "start", begin)
        event.listen(services.engine, "before_cursor_execute", before)
        memory.conn.set_trace_callback(statement)
        try:
            yield work
        finally:
            memory.conn.set_trace_callback(None)
            event.remove(services.engine, "before_cursor_execute", before)


@pytest.fixture
def warm(tiny: Services) -> Services:
    """The application after its first turn, with nothing remembered of it."""
    run("What is honey?", Context(), None, tiny)
    tiny.encoder._model._kept.cache_clear()
    tiny.reader._kept.cache_clear()
    return tiny


def test_a_turn(warm, monkeypatch):
    with counted(warm, monkeypatch) as work:
        run(QUESTION, Context(), None, warm)
    assert work.encoded == 1, "the question once; sentences are known from the search"
    assert work.read == CANDIDATES, "every candidate once, though it is looked at three times"
    assert work.bytes == BYTES, "no passage is read but the candidates"
    assert work.statements == STATEMENTS
    assert work.threads == THREADS, "the model's, and the one in which LangGraph saves the checkpoint; nodes run in the caller's"


def test_a_turn_that_is_watched(warm, monkeypatch):
    with counted(warm, monkeypatch) as work:
        *_, last = events(QUESTION, Context(), None, warm)
    assert last["type"] == "answer"
    assert work.threads == THREADS + 1, "and the one in which the turn is played: an event passes through no other on its way out"


def test_the_same_question_again(warm, monkeypatch):
    run(QUESTION, Context(), "t", warm)
    with counted(warm, monkeypatch) as work:
        run(QUESTION, Context(), "t", warm)
    assert (work.encoded, work.read) == (0, 0)


def test_a_route(warm, monkeypatch):
    with counted(warm, monkeypatch) as work:
        assert find_route(warm, QUESTION).expert == "tea"
    assert (work.encoded, work.read, work.bytes, work.statements) == (1, 0, 0, {})


def test_a_route_in_doubt(warm, monkeypatch):
    warm.__dict__["policy"] = warm.policy.model_copy(update={"out_of_scope_at": 0.0, "look_below": 1.0, "found_at": 0.0})
    with counted(warm, monkeypatch) as work:
        assert find_route(warm, QUESTION).expert == "tea"
    assert (work.encoded, work.read) == (1, LOOKED_AT), "the question; two passages"


def test_learning_from_one_more_utterance(own_experts, monkeypatch):
    for index in ("tea", "bees"):
        Services(own_experts).index(index)
    before = Services(own_experts)
    before.router(), before.safety
    with (own_experts.experts_dir / "tea" / "utterances.csv").open("a") as file:
        file.write("my oolong tastes of hay,train\n")
    after = Services(own_experts)
    after.encoder._model._kept.cache_clear()
    with counted(after, monkeypatch) as work:
        after.router(), after.safety
    assert work.encoded == 1, "the utterance, for the router and the safety rules"
    assert "my oolong tastes of hay" in after.similarity.examples()[0]


def test_help_imports():
    code = "import sys; from ui.cli import main; main(['--help']); print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert int(done.stdout.splitlines()[-1]) <= HELP_MODULES
