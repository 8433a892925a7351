"""Counted work: what `--help`, a search and a turn may cost. Unlike wall time, these numbers are the same on every machine.

A number that grows is looked into before it is written here; one that falls is written down at once.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from onnxruntime import InferenceSession
from sqlalchemy import event

from core.settings import ROOT
from graph.api import events, run
from graph.memory import thread_memory
from graph.nodes.route import LOOKED_AT, find_route
from graph.services import Services
from graph.state import Context
from retrieval.lexical import Lexical
from retrieval.passages import PassageFile
from retrieval.text import terms
from retrieval.vectors import FaissStore

QUESTION = "How long does green tea steep?"
CANDIDATES, BYTES = 8, 2268
SEARCHED = (3, 29, 1, 12)
STATEMENTS = {"BEGIN": 1, "SELECT": 1, "INSERT": 3, "COMMIT": 1}
THREADS = 2
HELP_MODULES = 215


class Work:
    """What was done: runs of text models and of the reader, bytes of passages, threads begun, statements in both databases.

    Of the search: looks at a store of vectors, vectors read from one, looks at the words, and the scores of words added up.
    """

    def __init__(self) -> None:
        self.encoded = self.read = self.bytes = self.threads = 0
        self.searches = self.vectors = self.worded = self.postings = 0
        self.statements: Counter[str] = Counter()

    @property
    def searched(self) -> tuple[int, int, int, int]:
        return self.searches, self.vectors, self.worded, self.postings


@contextmanager
def counted(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Counts what is done meanwhile; what is remembered from before is not done again. The look at the versions, once a second, is not."""
    work, start_thread = Work(), threading.Thread.start
    reader = services.reader._network[0]
    memory: Any = thread_memory(services)

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
        patch.setattr(threading.Thread, "start", begin)
        count_models(patch, work, reader)
        count_search(patch, work)
        event.listen(services.engine, "before_cursor_execute", before)
        memory.conn.set_trace_callback(statement)
        try:
            yield work
        finally:
            memory.conn.set_trace_callback(None)
            event.remove(services.engine, "before_cursor_execute", before)


def count_models(patch: pytest.MonkeyPatch, work: Work, reader: Any) -> None:
    """Count the runs of every ONNX session, whosever it is: of `reader`, and of all others that read a text."""
    run_session = InferenceSession.run

    def run_counted(self: Any, names: Any, feed: Any, *more: Any) -> Any:
        work.read += self is reader
        work.encoded += self is not reader and "input_ids" in feed
        return run_session(self, names, feed, *more)

    patch.setattr(InferenceSession, "run", run_counted)


def count_search(patch: pytest.MonkeyPatch, work: Work) -> None:
    """Count what is read of indexes."""
    read_passage, search, vectors, scores = PassageFile.__getitem__, FaissStore.search, FaissStore.vectors, Lexical.scores

    def passage(self: PassageFile, n: int) -> Any:
        work.bytes += int(self._offsets[n + 1] - self._offsets[n])
        return read_passage(self, n)

    def searched(self: FaissStore, vector: Any, k: int) -> Any:
        work.searches += 1
        return search(self, vector, k)

    def read(self: FaissStore, ids: Any) -> Any:
        work.vectors += len(ids)
        return vectors(self, ids)

    def worded(self: Lexical, question: str) -> Any:
        known = [self._vocabulary[term] for term in set(terms(question)) if term in self._vocabulary]
        work.worded += 1
        work.postings += sum(int(self._scores["indptr"][word + 1] - self._scores["indptr"][word]) for word in known)
        return scores(self, question)

    patch.setattr(PassageFile, "__getitem__", passage)
    patch.setattr(FaissStore, "search", searched)
    patch.setattr(FaissStore, "vectors", read)
    patch.setattr(Lexical, "scores", worded)


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
    assert work.searched == SEARCHED, "the expert's documents once, and those of both experts for the router"
    assert work.statements == STATEMENTS
    assert work.threads == THREADS, "the model's, and the one in which LangGraph saves the checkpoint; nodes run in the caller's"


def test_a_search(warm, monkeypatch):
    monkeypatch.setattr("retrieval.index.CANDIDATES", 2)
    index, vector = warm.index("tea"), warm.encoder.encode([QUESTION])[0]
    with counted(warm, monkeypatch) as work:
        found = index.candidates(QUESTION, vector)
    read = sum(1 + len(own) for own in found.sentences)
    assert work.searched == (1, read, 1, SEARCHED[3])
    assert (len(found.ids), read < len(index.vectors), work.bytes) == (2, True, 0), "of two candidates the vectors, and no text"


def test_a_turn_in_a_thread_that_there_is(warm, monkeypatch):
    run("What is honey?", Context(), "t", warm)
    with counted(warm, monkeypatch) as work:
        run(QUESTION, Context(), "t", warm)
    assert work.statements == {**STATEMENTS, "SELECT": 4}, "the checkpoint with its writes: whose it is, and to go on from it"


def test_a_long_question(warm, monkeypatch):
    long = f"{QUESTION} I ask because {'my grandmother left me a tin of it, ' * 13}and I like it mild."
    assert 500 < len(long) < 600
    with counted(warm, monkeypatch) as work:
        run(long, Context(), None, warm)
    assert (work.encoded, work.read, work.searches, work.worded) == (1, CANDIDATES, 3, 1), "no more than a short one"


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
