"""Conversations on both databases: they go on, stay apart, survive a kill, and a database that goes away and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from core.errors import InputError, StoreError
from core.settings import ROOT, Settings
from graph import memory
from graph.api import compiled, events, forget, run
from graph.memory import one_turn_at_a_time
from graph.services import Services
from graph.state import Context
from store import engine as store
from store.ledger import exclusive
from store.runs import thread_runs, threads
from tests.conftest import close
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.graph.test_streaming import KILLED
from tests.postgres import BOTH, Postgres

Make = Callable[..., Table]


def said(services: Services, thread: str) -> list[str]:
    return [m.type for m in compiled(services).get_state({"configurable": {"thread_id": thread}}).values.get("messages", [])]


@BOTH
def test_a_thread_goes_on_after_a_restart_and_can_be_forgotten(tiny: Services, tiny_settings: Settings) -> None:
    run(QUESTION, Context(owner="ann"), "t", tiny)
    run(QUESTION, Context(owner="ann"), "other", tiny)
    again = Services(tiny_settings)
    assert "four minutes" in run("and black tea?", Context(owner="ann"), "t", again).answer
    assert said(again, "t") == ["human", "ai"] * 2
    assert sorted(t.thread_id for t in threads(again.engine, "ann")) == ["other", "t"]
    forget("t", again)
    assert (said(tiny, "t"), thread_runs(tiny.engine, "t"), said(tiny, "other")) == ([], [], ["human", "ai"])
    close(again)


@BOTH
def test_a_new_thread_whose_turn_fails_is_not_kept(table: Make) -> None:
    t = table([GOOD])
    t.ask(thread="kept")
    for thread in ("new", "kept"):
        with pytest.raises(InputError):
            t.ask("  ", thread=thread)
    kept = {c.config["configurable"]["thread_id"] for c in compiled(t.services).checkpointer.list(None)}  # type: ignore[union-attr]
    assert kept == {"kept"}


@BOTH
def test_turns_of_one_thread_at_once_wait_for_each_other(table: Make) -> None:
    t = table([GOOD] * 6)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: t.ask(thread="shared"), range(6)))
    assert said(t.services, "shared") == ["human", "ai"] * 6
    assert len(thread_runs(t.services.engine, "shared")) == 6


@BOTH
def test_a_conversation_that_is_deleted_while_it_is_answered_is_gone(table: Make) -> None:
    t = table([GOOD, GOOD])
    t.ask(thread="t")
    turn = events(QUESTION, Context(), "t", t.services)
    next(turn)
    with ThreadPoolExecutor(1) as pool:
        deleted = pool.submit(forget, "t", t.services)
        with pytest.raises(TimeoutError):
            deleted.result(0.3)
        assert list(turn)[-1]["data"]["thread_id"] == "t"
        deleted.result(60)
    assert (said(t.services, "t"), thread_runs(t.services.engine, "t")) == ([], [])


@BOTH
def test_what_was_acknowledged_survives_kill_9(table: Make, database_url: str | None) -> None:
    t = table([])
    t.services.index("tea")
    s = t.services.settings
    environment = {name: os.environ[name] for name in ("PATH",)} | {
        "PYTHONPATH": str(ROOT), "SWITCHYARD_EXPERTS": str(s.experts_dir), "SWITCHYARD_INDEXES": str(s.indexes_dir),
        "SWITCHYARD_HOME": str(s.home), "SWITCHYARD_ARTIFACTS": str(s.artifacts_dir), "DATABASE_URL": database_url or "",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (stored,) = thread_runs(t.services.engine, "thread-9")
    assert stored.run_id == done.stdout.strip()
    assert said(t.services, "thread-9") == ["human", "ai"]


def test_a_database_that_goes_away_and_comes_back(postgres: Postgres, table: Make) -> None:
    t = table([GOOD] * 4, database_url=postgres.database())
    t.ask(thread="t")
    postgres.stop()
    try:
        with pytest.raises(StoreError, match=r"See that it runs and can be reached, and check DATABASE_URL\.$"):
            t.ask(thread="t")
    finally:
        postgres.start()
    t.weak.replies[:] = [GOOD]
    t.ask(thread="t")
    assert said(t.services, "t") == ["human", "ai"] * 2


@BOTH
def test_more_conversations_at_once_than_connections(table: Make) -> None:
    services = table([]).services
    with ExitStack() as stack:
        for n in range(40):
            stack.enter_context(one_turn_at_a_time(services, f"talk-{n}"))
    with one_turn_at_a_time(services, "talk-0"):
        pass


def test_the_first_turn_after_an_outage(postgres: Postgres, table: Make) -> None:
    t = table([GOOD] * 2, database_url=postgres.database())
    t.ask(thread="t")
    postgres.stop()
    postgres.start()
    t.ask(thread="t")
    assert said(t.services, "t") == ["human", "ai"] * 2


def test_threads_are_made_while_the_ledger_is_in_use(postgres: Postgres, table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "TURN_WAIT_S", 0.2)
    t = table([GOOD], database_url=postgres.database())
    with exclusive(t.services.engine):
        t.ask(thread="t")
    assert said(t.services, "t") == ["human", "ai"]


def test_threads_that_another_process_has_been_making_for_long(postgres: Postgres, table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "TURN_WAIT_S", 0.2)
    t = table([GOOD], database_url=postgres.database())
    with t.services.engine.connect() as other:
        other.exec_driver_sql(f"SELECT pg_advisory_xact_lock({store.THREADS_LOCK})")
        with pytest.raises(StoreError, match=r"^Another process is still making the tables of conversations in DATABASE_URL\."):
            t.ask(thread="t")
    t.ask(thread="t")
    assert said(t.services, "t") == ["human", "ai"]


@pytest.mark.parametrize("bad", ["nonsense", "postgresql://user:secret-word@host:port/x"])
def test_a_database_url_that_is_none(tiny_settings: Settings, bad: str) -> None:
    services = Services(Settings.model_validate(tiny_settings.model_dump() | {"database_url": bad}))
    with pytest.raises(StoreError, match=r"^DATABASE_URL: expected something like sqlite:///path\.db") as caught:
        run(QUESTION, Context(), None, services)
    assert "secret-word" not in str(caught.value)
