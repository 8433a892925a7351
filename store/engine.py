"""The database: SQLite in SWITCHYARD_HOME by default, whatever DATABASE_URL names otherwise. The schema carries its version."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from weakref import finalize

from filelock import FileLock
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from core.errors import StoreError
from store.turnstile import Turnstile

SCHEMA_VERSION = 1
LONGEST_THREAD = 128
"""Characters of a conversation's name, its owner's before it."""
_WRITER_WAIT_S = 30.0
SCHEMA_LOCK, LEDGER_LOCK, THREADS_LOCK = range(7426551, 7426554)
"""The numbers of PostgreSQL's advisory locks: who makes the schema, who uses the ledger, who makes the tables of conversations."""
_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"}
_NO_URL = "DATABASE_URL: expected something like sqlite:///path.db or postgresql+psycopg://user@host/name."
metadata = MetaData()
schema = Table("switchyard_schema", metadata, Column("version", Integer, primary_key=True))
runs = Table(
    "runs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("thread_id", String(LONGEST_THREAD), index=True, nullable=False),
    Column("created_at", Float, index=True, nullable=False, doc="seconds since the epoch, UTC"),
    Column("owner", String(128), index=True),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False, doc="the answer object, JSON"),
    Column("features", Text, nullable=False, doc="JSON"),
)
decisions = Table(
    "decisions",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("decision", Text, nullable=False, doc="what led to the answer and is no part of it, JSON; see graph.decision"),
)
calls = Table(
    "calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), index=True, nullable=False, doc="SHA-256 of model, messages and limits"),
    Column("job", Text, index=True, nullable=False, doc="what the call was made for"),
    Column("model", String(256), nullable=False),
    Column("state", String(8), nullable=False, doc="see store.ledger"),
    Column("token", String(32), nullable=False, doc="the idempotency key that went out with it"),
    Column("started_at", Float, nullable=False, doc="seconds since the epoch, UTC"),
    Column("cost_usd", Float, doc="what it cost; until that is known, the most that it can cost; null without a price"),
    Column("latency_ms", Float),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("finish_reason", Text),
    Column("text", Text, doc="the reply, or the fault"),
)
feedback = Table(
    "feedback",
    metadata,
    Column("id", String(32), primary_key=True, doc="of the run and the owner: one a turn and person"),
    Column("run_id", String(36), index=True, nullable=False, doc="the run may be gone"),
    Column("owner", String(128), index=True),
    Column("created_at", Float, index=True, nullable=False, doc="seconds since the epoch, UTC; of the last change"),
    Column("question", Text, nullable=False),
    Column("rating", Integer, doc="-1, 0 or 1"),
    Column("expert", String(64), doc="where the question belongs, when the route was wrong"),
    Column("wrong_citations", Text, nullable=False, doc="their numbers, JSON"),
    Column("text", Text, doc="the answer as it should be"),
    Column("comment", Text),
    Column("routed", Text, nullable=False, doc="the experts that were asked, JSON; none when it was declined"),
    Column("features", Text, nullable=False, doc="the run's signals, JSON"),
)
keys = Table(
    "keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("digest", String(64), unique=True, nullable=False, doc="SHA-256 of the key"),
    Column("owner", String(64), nullable=False),
    Column("created_at", Float, nullable=False, doc="seconds since the epoch, UTC"),
    Column("revoked_at", Float),
    Column("per_minute", Integer, doc="requests; null without a limit"),
    Column("budget_usd", Float, doc="of a calendar month; null without a limit"),
    Column("allowance", Float, nullable=False, doc="requests that were left at filled_at"),
    Column("filled_at", Float, nullable=False),
    Column("month", String(7), nullable=False, doc="the month of spent_usd, e.g. 2026-11, UTC"),
    Column("spent_usd", Float, nullable=False),
)
holds = Table(
    "holds",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key_id", String(16), index=True, nullable=False),
    Column("usd", Float, nullable=False, doc="what a turn that runs may cost"),
    Column("until", Float, nullable=False, doc="seconds since the epoch, UTC: a process that died gives nothing back"),
)
versions = Table(
    "versions",
    metadata,
    Column("name", String(64), primary_key=True, doc="of what"),
    Column("number", Integer, primary_key=True, autoincrement=False, doc="from 1"),
    Column("previous", Integer, nullable=False, doc="the number that was in service when it was made; 0 is what ships"),
    Column("created_at", Float, nullable=False, doc="seconds since the epoch, UTC"),
    Column("in_service", Boolean, nullable=False, doc="true for one of a name at most"),
    Column("report", Text, nullable=False, doc="JSON"),
    Column("checksum", String(64), doc="SHA-256 of files"),
    Column("files", LargeBinary, doc="a zip of them; null for what was not promoted. The last: what stands before it is read without it"),
)


@cache
def engine(url: str) -> Engine:
    """The engine of `url`, its schema made where it is new. Raises StoreError when the database cannot be used."""
    try:
        parsed = parsed_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return _sqlite(parsed, Path(parsed.database))
        # A connection that broke while the database was away is replaced before it is used.
        made = create_engine(parsed, pool_pre_ping=True)
        _migrate(made)
        return made
    except ImportError as error:
        raise StoreError(f"DATABASE_URL: its driver is not installed: {error}. Install it with pip, or name another one.") from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise StoreError(_NO_URL) from None
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(f"The database cannot be used: {reason}. {remedy(reason)}") from None


def parsed_url(url: str) -> URL:
    """The parts of a DATABASE_URL. Raises StoreError."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(_NO_URL) from None


@contextmanager
def transaction(made: Engine) -> Iterator[Connection]:
    """A connection whose statements all hold, or none does. Raises StoreError."""
    try:
        with made.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(f"The database failed: {reason}. {remedy(reason)}") from None


def _tune_sqlite(connection: object, _record: object) -> None:
    # WAL lets a reader go on while a turn is written; FULL makes what was acknowledged survive a power cut.
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def _sqlite(url: URL, path: Path) -> Engine:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A connection is only a file that is opened: no turn need wait for one.
    made = create_engine(url, pool_size=16, max_overflow=-1)
    finalize(made, made.pool.dispose)  # when the process ends, too: SQLite then takes its log into the file
    event.listen(made, "connect", _tune_sqlite)
    with opening(path):
        _migrate(made)
    _watch(made, path)
    _queue_writers(made)
    return made


def opening(path: Path) -> FileLock:
    """For who opens the SQLite file `path` first: of several that turn its log on at once, SQLite fails all but one without waiting."""
    return FileLock(path.with_name(".lock"), timeout=_WRITER_WAIT_S)


def file_id(path: Path) -> tuple[int, int]:
    """What tells a database's file from another that takes its place. Raises sqlite3.OperationalError when it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise sqlite3.OperationalError(f"the file {path.name} is gone; put it back, or start anew") from None
    return found.st_dev, found.st_ino


def _watch(made: Engine, path: Path) -> None:
    """What is written to a file that was taken away is lost, and SQLite says nothing: have every use of a connection look first."""

    def connecting(*_: object) -> None:
        file_id(path)  # SQLite would make an empty file where there is none

    def opened(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["file"] = file_id(path)

    def used(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info.get("file") != file_id(path):
            raise DisconnectionError  # another file lies there now: SQLAlchemy connects anew

    event.listen(made, "do_connect", connecting)
    event.listen(made, "connect", opened)
    event.listen(made, "checkout", used)


def _queue_writers(made: Engine) -> None:
    """SQLite has whoever waits to write ask again by chance: of many at once, some would wait for ever. A process sends one at a time."""
    turn = Turnstile()

    def about_to(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith("SELECT") and not connection.info.get("writes"):
            if not turn.acquire(_WRITER_WAIT_S):
                raise sqlite3.OperationalError("database is locked")
            connection.info["writes"] = True

    def done(_connection: object, record: ConnectionPoolEntry) -> None:
        if record.info.pop("writes", False):
            turn.release()

    event.listen(made, "before_cursor_execute", about_to)
    event.listen(made, "checkin", done)


def _migrate(made: Engine) -> None:
    with made.begin() as connection:
        # Processes that meet on a new database make its schema one after the other.
        if lock := _LOCKS.get(made.dialect.name):
            connection.exec_driver_sql(lock)
        metadata.create_all(connection)
        version = connection.execute(select(schema.c.version)).scalar()
        if version is None:
            connection.execute(insert(schema).values(version=SCHEMA_VERSION))
        elif version > SCHEMA_VERSION:
            raise StoreError(f"The database has schema {version}; this Switchyard knows {SCHEMA_VERSION}. Update Switchyard.")


def remedy(reason: str) -> str:
    """What to do about what a database says."""
    if "locked" in reason:
        return "Another process is at work on it: try again."
    if re.search("connection|resolve host|host name", reason):
        return "See that it runs and can be reached, and check DATABASE_URL."
    return "Free some disk, or check DATABASE_URL and SWITCHYARD_HOME."
