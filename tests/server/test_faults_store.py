"""A database that goes away and comes back, and a disk that is full: one honest 503 meanwhile, and nothing is lost or half-written."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import event

from benchmarks.soak.process import serving, until_ready
from graph.services import Services
from tests.graph.conftest import QUESTION
from tests.postgres import Postgres
from tests.server.conftest import Running, chat

FOLLOWING = "and black tea?"
NAMES = ["switchyard.db", "threads.db"]


def ask(client: httpx.Client, question: str = QUESTION) -> httpx.Response:
    return chat(client, question, metadata={"thread_id": "t"})


def check_refused(response: httpx.Response, said: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (503, "server_error", "store_failed")
    assert said in error["message"], error["message"]
    assert response.headers["Retry-After"] == "2"


def questions(client: httpx.Client) -> list[str]:
    return [turn["question"] for turn in client.get("/v1/threads/t").json()["turns"]]


def check_goes_on(client: httpx.Client) -> None:
    """Only what was answered is there, and the conversation goes on from it."""
    assert questions(client) == [QUESTION]
    assert "four minutes" in ask(client, FOLLOWING).json()["choices"][0]["message"]["content"]
    assert questions(client) == [QUESTION, FOLLOWING]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_taken_away_and_put_back(serve: Callable[..., Running], tiny: Services, name: str) -> None:
    on, file = serve(tiny), tiny.settings.home / name
    assert ask(on.http).status_code == 200
    aside = file.with_suffix(".aside")
    file.rename(aside)
    check_refused(ask(on.http), f"the file {name} is gone; put it back")
    check_refused(ask(on.http), f"the file {name} is gone; put it back")
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


def test_a_file_that_another_program_locks(serve: Callable[..., Running], tiny: Services) -> None:
    on = serve(tiny)
    assert ask(on.http).status_code == 200
    other = sqlite3.connect(tiny.settings.home / "switchyard.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.7, lambda: other.execute("ROLLBACK")).start()
    assert ask(on.http, FOLLOWING).status_code == 200  # it waits
    event.listen(tiny.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout=50"))
    other.execute("BEGIN IMMEDIATE")
    check_refused(ask(on.http, "What is honey made of?"), "database is locked. Another process is at work on it: try again.")
    assert questions(on.http) == [QUESTION, FOLLOWING]  # whoever reads need not wait
    other.execute("ROLLBACK")
    assert ask(on.http, "What is honey made of?").status_code == 200
    assert questions(on.http) == [QUESTION, FOLLOWING, "What is honey made of?"]
    other.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_postgresql_that_stops_and_starts(serve: Callable[..., Running], tiny: Services, postgres: Postgres) -> None:
    on = serve(tiny)
    assert ask(on.http).status_code == 200
    until_ready(on.url, 200)
    postgres.stop()
    try:
        check_refused(ask(on.http), "The database failed")
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
            check_refused(ask(client), "Free some disk")
        assert questions(client) == [QUESTION]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        check_goes_on(client)
    for name in NAMES:
        with sqlite3.connect(tiny.settings.home / name) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        opened.close()
