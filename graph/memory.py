"""Where conversations are kept: SQLite in SWITCHYARD_HOME, or the PostgreSQL that DATABASE_URL names, which several machines may share."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from filelock import FileLock, Timeout
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from sqlalchemy.engine import make_url

from core.errors import StoreError
from graph.services import Services

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

TURN_WAIT_S = 120.0
_CONNECT_S = 10.0
_SAVING, _LOCKING = 8, 20
"""The most connections of a process to PostgreSQL: for checkpoints, and one for each turn of a stored thread."""
_SETUP_LOCK, _TRY_S = 7426552, 0.1
_DATABASES = frozenset({"sqlite3", "psycopg", "psycopg_pool"})
_MADE: WeakKeyDictionary[Services, BaseCheckpointSaver[str]] = WeakKeyDictionary()
_MAKING = Lock()


def thread_memory(given: Services) -> BaseCheckpointSaver[str]:
    """The checkpointer of the application, made once. Shared by threads; closed with the process. Raises StoreError."""
    with _MAKING:
        if given not in _MADE:
            _MADE[given] = _in_postgres(given) if _postgres(given) else _in_sqlite(given)
        return _MADE[given]


def _in_sqlite(given: Services) -> BaseCheckpointSaver[str]:
    from langgraph.checkpoint.sqlite import SqliteSaver

    class ThreadMemory(SqliteSaver):
        def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
            super().put_writes(config, _without_drafts(writes), task_id, task_path)

    home = given.settings.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(home / "threads.db", check_same_thread=False, timeout=10)
        connection.execute("PRAGMA synchronous=FULL")
        memory = ThreadMemory(connection)
        memory.setup()
        return memory
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"The conversations in {home} cannot be used: {reason}. Free the folder, or set SWITCHYARD_HOME.") from None


def _in_postgres(given: Services) -> BaseCheckpointSaver[str]:
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg.rows import dict_row

    class ThreadMemory(PostgresSaver):
        # Connections that hold a lock as long as a turn takes: a pool of their own, so that checkpoints never wait for them.
        locks = _pool(given, _LOCKING, options=f"-c lock_timeout={int(TURN_WAIT_S * 1000)}")

        def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
            super().put_writes(config, _without_drafts(writes), task_id, task_path)

    with store_faults():
        memory = ThreadMemory(_pool(given, _SAVING, row_factory=dict_row, prepare_threshold=0))
        # Processes that meet on a new database make its tables one after the other. They try again and again: a statement that waits
        # would hold up the building of an index.
        with ThreadMemory.locks.connection() as connection:
            while not connection.execute("SELECT pg_try_advisory_lock(%s)", (_SETUP_LOCK,)).fetchone()[0]:
                time.sleep(_TRY_S)
            try:
                memory.setup()
            finally:
                connection.execute("SELECT pg_advisory_unlock(%s)", (_SETUP_LOCK,))
        return memory


def _without_drafts(writes: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    # Of a turn that fails, LangGraph saves what parallel nodes had written, untracked or not: drafts are no memory.
    return [write for write in writes if write[0] != "drafts"]


@contextmanager
def one_turn_at_a_time(given: Services, thread: str) -> Iterator[None]:
    """Over all processes: of two turns of a thread at once, the later checkpoint would forget the other. Raises StoreError."""
    digest = hashlib.sha256(thread.encode())
    if _postgres(given):
        number = int.from_bytes(digest.digest()[:8], signed=True)
        with store_faults(), thread_memory(given).locks.connection() as connection:  # type: ignore[attr-defined]
            connection.execute("SELECT pg_advisory_lock(%s)", (number,))
            try:
                yield
            finally:
                connection.execute("SELECT pg_advisory_unlock(%s)", (number,))
        return
    folder = given.settings.home / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / digest.hexdigest()[:3], timeout=TURN_WAIT_S, thread_local=False):
            yield
    except Timeout:
        raise StoreError(
            "Another question of this conversation is still being answered. Wait for it, or start a new conversation."
        ) from None


@contextmanager
def store_faults() -> Iterator[None]:
    """Whatever a database raises becomes a StoreError."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _DATABASES:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"The turn could not be stored: {reason}. Free some disk, or check DATABASE_URL and SWITCHYARD_HOME.") from None


def _postgres(given: Services) -> bool:
    return make_url(given.settings.database).get_backend_name() == "postgresql"


def _pool(given: Services, most: int, **keywords: Any) -> ConnectionPool[Any]:
    """At most so many connections at a time, each opened when it is needed: after an outage the first one that can be made is."""
    from psycopg_pool import NullConnectionPool

    address = make_url(given.settings.database).set(drivername="postgresql").render_as_string(hide_password=False)
    return NullConnectionPool(address, max_size=most, timeout=_CONNECT_S, open=True, kwargs={"autocommit": True, **keywords})


def close(given: Services) -> None:
    """Close the connections of services that go out of use."""
    memory: Any = _MADE.pop(given, None)
    if memory:
        memory.conn.close()
        if _postgres(given):
            memory.locks.close()
