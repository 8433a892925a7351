"""The `runs` table: what was recorded comes back, owners stay apart, and nothing that was acknowledged is lost."""

import json
import subprocess
import sys
import time

import pytest
from sqlalchemy import select, text, update

from core.errors import StoreError
from core.settings import ROOT
from store import runs as table
from store.engine import engine
from store.engine import runs as rows
from store.runs import Thread, delete_thread, record, thread_runs, threads
from tests.postgres import BOTH

WRITE = """
import sys
from store.engine import engine
from store.runs import record
url, who, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
made = engine(url)
for i in range(n):
    record(made, f"{who} asks {i}", {"run_id": f"{who}-{i}", "thread_id": who}, {}, who)
    print(f"{who}-{i}", flush=True)
"""

pytestmark = BOTH


@pytest.fixture
def database(tmp_path, database_url):
    made = engine(database_url or f"sqlite:///{tmp_path / 'switchyard.db'}")
    yield made
    made.dispose()


def put(database, run, thread="t", owner=None, question="How long does tea steep?", at=None, monkeypatch=None):
    if at is not None:
        monkeypatch.setattr(table.time, "time", lambda: at)
    record(database, question, {"run_id": run, "thread_id": thread, "answer": f"answer of {run}"}, {"route": 0.9}, owner)


def test_a_turn_comes_back_as_it_was(database):
    before = time.time()
    answer = {"run_id": "r1", "thread_id": "t", "answer": "Two minutes – “exactly” [1] 🍵", "cost_usd": None, "scores": {"tea": 0.25}}
    record(database, "Wie lange? 茶", answer, {"route": 0.9, "cosine": 0.5}, "ann")
    [run] = thread_runs(database, "t")
    assert (run.run_id, run.thread_id, run.owner, run.question, run.answer) == ("r1", "t", "ann", "Wie lange? 茶", answer)
    assert before <= run.created_at <= time.time()
    with database.connect() as connection:
        assert json.loads(connection.execute(select(rows.c.features)).scalar_one()) == {"route": 0.9, "cosine": 0.5}


def test_turns_are_oldest_first_and_of_that_thread_only(database, monkeypatch):
    for run, thread, at in [("r2", "t", 20.0), ("r1", "t", 10.0), ("r3", "u", 15.0)]:
        put(database, run, thread, at=at, monkeypatch=monkeypatch)
    assert [run.run_id for run in thread_runs(database, "t")] == ["r1", "r2"]
    assert thread_runs(database, "nobody's") == []


def test_threads_are_titled_by_their_first_question_last_used_first(database, monkeypatch):
    for run, thread, at, question in [("1", "a", 10.0, "first of a"), ("2", "b", 20.0, "first of b"), ("3", "a", 30.0, "second of a")]:
        put(database, run, thread, question=question, at=at, monkeypatch=monkeypatch)
    assert threads(database) == [Thread("a", "first of a", 2, 30.0), Thread("b", "first of b", 1, 20.0)]
    assert threads(database, limit=1) == [Thread("a", "first of a", 2, 30.0)]


def test_turns_of_the_same_instant_make_one_thread(database, monkeypatch):
    put(database, "1", question="b", at=10.0, monkeypatch=monkeypatch)
    put(database, "2", question="a", at=10.0, monkeypatch=monkeypatch)
    assert threads(database) == [Thread("t", "a", 2, 10.0)]


def test_owners_are_apart(database, monkeypatch):
    for run, thread, owner in [("1", "a", "ann"), ("2", "b", "bob"), ("3", "c", None)]:
        put(database, run, thread, owner, at=10.0, monkeypatch=monkeypatch)
    assert [[t.thread_id for t in threads(database, owner)] for owner in ("ann", "bob", None, "eve")] == [["a"], ["b"], ["c"], []]


def test_a_deleted_thread_is_gone_and_the_others_stay(database):
    for run, thread in [("1", "a"), ("2", "a"), ("3", "b")]:
        put(database, run, thread)
    assert delete_thread(database, "a") == 2
    assert delete_thread(database, "a") == 0
    assert thread_runs(database, "a") == []
    assert [run.run_id for run in thread_runs(database, "b")] == ["3"]


def test_text_is_text_for_the_database(database):
    put(database, "1", thread="'; drop table runs; --", question="Robert'); DROP TABLE runs;--")
    assert threads(database)[0].title == "Robert'); DROP TABLE runs;--"
    assert delete_thread(database, "'; drop table runs; --") == 1


def test_a_run_is_recorded_once(database):
    put(database, "1", question="the first")
    with pytest.raises(StoreError, match=r"^The database failed: (UNIQUE constraint failed: runs\.run_id|duplicate key value)"):
        put(database, "1", question="the second")
    assert [run.question for run in thread_runs(database, "t")] == ["the first"]


@pytest.mark.parametrize(
    "use",
    [lambda db: put(db, "1"), lambda db: thread_runs(db, "t"), lambda db: threads(db), lambda db: delete_thread(db, "t")],
    ids=["record", "thread_runs", "threads", "delete_thread"],
)
def test_a_broken_database_is_one_line(database, use):
    with database.begin() as connection:
        connection.execute(text("DROP TABLE runs"))
    with pytest.raises(
        StoreError, match=r"(no such table: runs\. Free some disk, or check|relation \"runs\" does not exist.* [Cc]heck) DATABASE_URL"
    ) as caught:
        use(database)
    assert "\n" not in str(caught.value)


def test_a_turn_that_fails_half_way_leaves_nothing(database):
    put(database, "1", question="kept")
    with pytest.raises(ZeroDivisionError), database.begin() as connection:
        connection.execute(update(rows).values(question="changed"))
        raise ZeroDivisionError
    assert [run.question for run in thread_runs(database, "t")] == ["kept"]


def writer(database, who, n):
    command = [sys.executable, "-c", WRITE, str(database.url), who, str(n)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_lose_nothing(database):
    started = [writer(database, who, 30) for who in ("ann", "bob")]
    for who, process in zip(("ann", "bob"), started, strict=True):
        out, err = process.communicate()
        assert (out.split(), err) == ([f"{who}-{i}" for i in range(30)], "")
    for who in ("ann", "bob"):
        assert [run.run_id for run in thread_runs(database, who)] == [f"{who}-{i}" for i in range(30)]


def test_what_was_acknowledged_survives_a_kill(database):
    process = writer(database, "ann", 100_000)
    assert process.stdout
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    process.kill()
    acknowledged += process.communicate()[0].split("\n")[:-1]
    stored = [run.run_id for run in thread_runs(database, "ann")]
    assert stored[: len(acknowledged)] == acknowledged
    assert stored == [f"ann-{i}" for i in range(len(stored))]
