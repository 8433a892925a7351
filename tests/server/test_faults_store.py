"""A database that goes away and comes back, and a disk that is full: one honest 503 meanwhile, and nothing is lost or half-written."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import event

from benchmarks.soak.process import serving, until_ready
from graph.memory import one_turn_at_a_time
from graph.services import Services
from server.state import DELETING
from tests.graph.conftest import QUESTION
from tests.postgres import Postgres
from tests.server.conftest import Running, chat

FOLLOWING = "and black tea?"
NAMES = ["switchyard.db", "threads.db"]


def ask(client: httpx.Client, question: str = QUESTION) -> httpx.Response:
    return chat(client, question, metadata={"thread_id": "t"})


def check_refused(response: httpx.Response, logged: str = "", said: str = "") -> None:
    """The caller learns nothing of the database, and the log why it failed."""
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (503, "server_error", "store_failed")
    assert error["message"] == "The database cannot be used right now. Try again in a moment."
    assert response.headers["Retry-After"] == "2"
    assert said in logged, logged


def questions(client: httpx.Client) -> list[str]:
    return [turn["question"] for turn in client.get("/v1/threads/t").json()["turns"]]


def check_goes_on(client: httpx.Client) -> None:
    """Only what was answered is there, and the conversation goes on from it."""
    assert questions(client) == [QUESTION]
    assert "four minutes" in ask(client, FOLLOWING).json()["choices"][0]["message"]["content"]
    assert questions(client) == [QUESTION, FOLLOWING]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_taken_away_and_put_back(
    serve: Callable[..., Running], tiny: Services, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    on, file = serve(tiny), tiny.settings.home / name
    assert ask(on.http).status_code == 200
    aside = file.with_suffix(".aside")
    file.rename(aside)
    for _ in range(2):
        caplog.clear()
        check_refused(ask(on.http), caplog.text, f"the file {name} is gone; put it back")
    assert not file.exists()
    assert on.http.get("/healthz").status_code == 200
    aside.rename(file)
    check_goes_on(on.http)


def test_a_file_that_is_restored_from_a_backup(serve: Callable[..., Running], tiny: Services) -> None:
    on, home = serve(tiny), tiny.settings.home
    assert ask(on.http).status_code == 200
    for name in NAMES:
        with sqlite3.connect(home / name) as source, sqlite3.connect(home / f"{name}.backup") as backup:
            source.backup(backup)
        source.close()
        backup.close()
    assert ask(on.http, "What is honey made of?").status_code == 200
    for name in NAMES:
        for part in ("", "-wal", "-shm"):
            (home / f"{name}{part}").unlink(missing_ok=True)
        (home / f"{name}.backup").rename(home / name)
    check_goes_on(on.http)


def test_a_file_that_another_program_locks(serve: Callable[..., Running], tiny: Services, caplog: pytest.LogCaptureFixture) -> None:
    on = serve(tiny)
    assert ask(on.http).status_code == 200
    other = sqlite3.connect(tiny.settings.home / "switchyard.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.7, lambda: other.execute("ROLLBACK")).start()
    assert ask(on.http, FOLLOWING).status_code == 200  # it waits
    event.listen(tiny.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout=50"))
    other.execute("BEGIN IMMEDIATE")
    refused = ask(on.http, "What is honey made of?")
    check_refused(refused, caplog.text, "database is locked. Another process is at work on it: try again.")
    assert questions(on.http) == [QUESTION, FOLLOWING]  # whoever reads need not wait
    other.execute("ROLLBACK")
    assert ask(on.http, "What is honey made of?").status_code == 200
    assert questions(on.http) == [QUESTION, FOLLOWING, "What is honey made of?"]
    other.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_postgresql_that_stops_and_starts(
    serve: Callable[..., Running], tiny: Services, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    on = serve(tiny)
    assert ask(on.http).status_code == 200
    until_ready(on.url, 200)
    postgres.stop()
    try:
        check_refused(ask(on.http), caplog.text, "See that it runs and can be reached, and check DATABASE_URL.")
        assert on.http.get("/readyz").json() == {"status": "the database does not answer"}
        assert on.http.get("/healthz").status_code == 200
    finally:
        postgres.start()
    until_ready(on.url, 200)
    check_goes_on(on.http)


def test_a_full_disk(tiny: Services) -> None:
    """What the limit on the size of a file refuses, a full disk refuses too: the write of one more page."""
    with serving(tiny.settings) as (pid, url), httpx.Client(base_url=url, timeout=60) as client:
        assert ask(client).status_code == 200
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))
        for _ in range(2):
            check_refused(ask(client))  # and there is no room in the log, either
        assert questions(client) == [QUESTION]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        check_goes_on(client)
    for name in NAMES:
        with sqlite3.connect(tiny.settings.home / name) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        opened.close()


def test_a_conversation_that_is_being_answered_is_no_database_that_fails(
    serve: Callable[..., Running], tiny: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.memory.TURN_WAIT_S", 0.1)
    on = serve(tiny)
    with one_turn_at_a_time(tiny, "t"):
        refused = ask(on.http)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_failed")
    assert refused.json()["error"]["message"].startswith("Another question of this conversation is still being answered.")


def test_deletes_that_wait_for_a_turn_hold_nobody_up(serve: Callable[..., Running], tiny: Services) -> None:
    on = serve(tiny)
    assert ask(on.http).status_code == 200
    statuses: list[int] = []
    deletes = [threading.Thread(target=lambda: statuses.append(on.http.delete("/v1/threads/t").status_code)) for _ in range(50)]
    with one_turn_at_a_time(tiny, "t"):
        for delete in deletes:
            delete.start()
        until = time.monotonic() + 60
        while on.state.deleting.statistics().tasks_waiting < len(deletes) - DELETING and time.monotonic() < until:
            time.sleep(0.02)
        assert on.state.deleting.statistics().tasks_waiting == len(deletes) - DELETING
        for path in ("/readyz", "/v1/models", "/v1/threads"):
            assert on.http.get(path, timeout=5).status_code == 200
    for delete in deletes:
        delete.join(60)
    assert (len(statuses), set(statuses)) == (len(deletes), {200, 404})
    assert statuses.count(200) <= DELETING
