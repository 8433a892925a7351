"""Turns in short, on both databases: filters, the order, and what a database must not choke on; decisions live and go with their run."""

import pytest

from store import runs as table
from store.engine import engine
from store.runs import Run, Turn, Wanted, delete_thread, find_run, ids_from, record, turns
from tests.postgres import BOTH

pytestmark = BOTH


@pytest.fixture
def database(tmp_path, database_url):
    made = engine(database_url or f"sqlite:///{tmp_path / 'switchyard.db'}")
    yield made
    made.dispose()


@pytest.fixture
def put(database, monkeypatch):
    """`put("r1", at=10.0, expert="tea", ...)` records a turn."""

    def record_one(run, at=10.0, thread="t", owner=None, decision=None, **said):
        monkeypatch.setattr(table.time, "time", lambda: at)
        answer = {"run_id": run, "thread_id": thread, "expert": "tea", "outcome": "answered", "answer": "Two minutes."}
        numbers = {"confidence": 0.75, "cost_usd": 1e-05, "latency_ms": 12.5}
        record(database, f"question of {run}", answer | numbers | said, {}, owner, decision)

    return record_one


def ids(found):
    return [turn.run_id for turn in found]


def test_a_turn_in_short_is_what_was_stored(database, put):
    put("r1", owner="ann", expert=["tea", "bees"], cost_usd=None)
    put("r2", at=20.0, expert=None, outcome="declined", confidence=0.0)
    assert turns(database, Wanted()) == [
        Turn("r2", "t", 20.0, None, "question of r2", (), "declined", 0.0, 1e-05, 12.5),
        Turn("r1", "t", 10.0, "ann", "question of r1", ("tea", "bees"), "answered", 0.75, None, 12.5),
    ]


def test_turns_are_chosen_by_what_is_asked_for(database, put):
    put("r1", at=10.0)
    put("r2", at=20.0, expert=["tea", "bees"], outcome="escalated")
    put("r3", at=30.0, expert="bees", thread="u", owner="ann")
    put("r4", at=40.0, expert="te", outcome="escalated")
    assert ids(turns(database, Wanted(), 2)) == ["r4", "r3"]
    assert ids(turns(database, Wanted(expert="tea"))) == ["r2", "r1"]
    assert ids(turns(database, Wanted(expert="bees"))) == ["r3", "r2"]
    assert ids(turns(database, Wanted(expert="t_a"))) == []
    assert ids(turns(database, Wanted(outcome="escalated"))) == ["r4", "r2"]
    assert ids(turns(database, Wanted(since=20.0))) == ["r4", "r3", "r2"]
    assert ids(turns(database, Wanted(thread="u"))) == ["r3"]
    assert ids(turns(database, Wanted(local=True))) == ["r4", "r2", "r1"]
    assert ids(turns(database, Wanted(since=15.0, expert="tea", outcome="escalated"))) == ["r2"]


def test_a_nul_in_an_answer_hides_no_turn_and_its_other_text_stays(database, put):
    text = "a\0\0b \\u0000 c\\\\\0d"
    put("r1", answer=text)
    put("r2", at=20.0)
    assert ids(turns(database, Wanted())) == ["r2", "r1"]
    found = find_run(database, "r1")
    assert found is not None
    assert found.answer["answer"] == "ab \\u0000 c\\\\d"


def test_ids_are_found_by_how_they_begin(database, put):
    put("ab1")
    put("ab2", at=20.0)
    put("a%3", at=30.0)
    assert ids_from(database, "ab") == ["ab2", "ab1"]
    assert ids_from(database, "ab1") == ["ab1"]
    assert ids_from(database, "a%") == ["a%3"]
    assert ids_from(database, "zz") == []
    assert ids_from(database, "", most=2) == ["a%3", "ab2"]


def test_a_decision_comes_with_its_run_and_goes_with_it(database, put):
    put("r1", decision={"question": "Wie lange? 茶", "drafts": []})
    put("r2", thread="u")
    [kept, without] = [find_run(database, run) for run in ("r1", "r2")]
    assert isinstance(kept, Run) and isinstance(without, Run)
    assert (kept.decision, without.decision) == ({"question": "Wie lange? 茶", "drafts": []}, {})
    assert delete_thread(database, "t") == 1
    put("r1", thread="v")
    again = find_run(database, "r1")
    assert again is not None
    assert again.decision == {}
