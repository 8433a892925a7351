"""Where conversations are kept: SQLite in SWITCHYARD_HOME, or the PostgreSQL that DATABASE_URL names, which several machines may share."""

from __future__ import annotations

import atexit
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from filelock import FileLock, Timeout
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from core.errors import ConversationBusyError, StoreError
from graph.advisory import AdvisoryLocks, StillHeld
from graph.services import Services
from store.engine import THREADS_LOCK, file_id, opening, parsed_url, remedy

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

TURN_WAIT_S = 120.0
_CONNECT_S = 10.0
_SAVING = 8
"""The most connections of a process to PostgreSQL for checkpoints."""
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
        def __init__(self, path: Path) -> None:
            super().__init__(_connected(path))
            self.setup()
            self._path, self._file = path, file_id(path)

        @contextmanager
        def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
            # Unlike the library's, it rolls back what failed: the next turn's commit must not store the half of another.
            with self.lock:
                self._look()
                with self.conn, closing(self.conn.cursor()) as cursor:
                    yield cursor

        def _look(self) -> None:
            # What is written to a file that was taken away is lost, and SQLite says nothing.
            if (now := file_id(self._path)) != self._file:
                self.conn.close()
                self.conn, self.is_setup, self._file = _connected(self._path), False, now
                self.setup()

        def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
            super().put_writes(config, _without_drafts(writes), task_id, task_path)

    home = given.settings.home
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opening(home / "threads.db"):
            return ThreadMemory(home / "threads.db")
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"The conversations in {home} cannot be used: {reason}. Free the folder, or set SWITCHYARD_HOME.") from None


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _in_postgres(given: Services) -> BaseCheckpointSaver[str]:
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg import connect
    from psycopg.rows import dict_row

    class ThreadMemory(PostgresSaver):
        locks = AdvisoryLocks(lambda: connect(_address(given), autocommit=True, connect_timeout=int(_CONNECT_S)))

        def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
            super().put_writes(config, _without_drafts(writes), task_id, task_path)

    with store_faults(), ExitStack() as undoing:
        memory = ThreadMemory(_pool(given, _SAVING, row_factory=dict_row, prepare_threshold=0))
        undoing.callback(memory.conn.close)
        undoing.callback(memory.locks.close)
        # Processes that meet on a new database make its tables one after the other. (A statement that waits for a lock, instead of trying
        # again and again, would hold up the building of an index.)
        try:
            with memory.locks.held(THREADS_LOCK, TURN_WAIT_S):
                memory.setup()
        except StillHeld:
            raise StoreError(
                "Another process is still making the tables of conversations in DATABASE_URL. Wait for it, or end it."
            ) from None
        undoing.pop_all()
        return memory


def _without_drafts(writes: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    # Of a turn that fails, LangGraph saves what parallel nodes had written, untracked or not: drafts are no memory.
    return [write for write in writes if write[0] != "drafts"]


@contextmanager
def one_turn_at_a_time(given: Services, thread: str) -> Iterator[None]:
    """Over all processes: of two turns of a thread at once, the later checkpoint would forget the other.

    Raises StoreError; ConversationBusyError where the other turn takes too long.
    """
    digest = hashlib.sha256(thread.encode())
    locks = given.settings.home / "locks"
    try:
        if _postgres(given):
            memory: Any = thread_memory(given)
            with store_faults(), memory.locks.held(int.from_bytes(digest.digest()[:8], signed=True), TURN_WAIT_S):
                yield
        else:
            # So many names that of hundreds of conversations at once hardly any two share one.
            with FileLock(locks / digest.hexdigest()[:4], timeout=TURN_WAIT_S, thread_local=False):
                yield
    except (Timeout, StillHeld):
        raise ConversationBusyError(
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
        raise StoreError(f"The turn could not be stored: {reason}. {remedy(reason)}") from None


def _postgres(given: Services) -> bool:
    url = given.settings.database_url  # not `database`, which looks the home's path up
    return url is not None and parsed_url(url.get_secret_value()).get_backend_name() == "postgresql"


def _pool(given: Services, most: int, **keywords: Any) -> ConnectionPool[Any]:
    """At most so many connections at a time, each opened when it is needed: after an outage the first one that can be made is."""
    from psycopg_pool import NullConnectionPool

    return NullConnectionPool(_address(given), max_size=most, timeout=_CONNECT_S, open=True, kwargs={"autocommit": True, **keywords})


def _address(given: Services) -> str:
    return parsed_url(given.settings.database).set(drivername="postgresql").render_as_string(hide_password=False)


def close(given: Services) -> None:
    """Close the connections of services that go out of use."""
    memory: Any = _MADE.pop(given, None)
    if memory:
        memory.conn.close()
        if _postgres(given):
            memory.locks.close()


@atexit.register
def _close_all() -> None:
    for given in list(_MADE):
        close(given)
