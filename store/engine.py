"""The database: SQLite in SWITCHYARD_HOME by default, whatever DATABASE_URL names otherwise. The schema carries its version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, Float, Integer, MetaData, String, Table, Text, create_engine, event, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from core.errors import StoreError

SCHEMA_VERSION = 1
_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(7426551)"}
metadata = MetaData()
schema = Table("switchyard_schema", metadata, Column("version", Integer, primary_key=True))
runs = Table(
    "runs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("thread_id", String(128), index=True, nullable=False),
    Column("created_at", Float, index=True, nullable=False, doc="seconds since the epoch, UTC"),
    Column("owner", String(128), index=True),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False, doc="the answer object, JSON"),
    Column("features", Text, nullable=False, doc="JSON"),
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


@cache
def engine(url: str) -> Engine:
    """The engine of `url`, its schema made where it is new. Raises StoreError when the database cannot be used."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        # A connection that broke while the database was away is replaced before it is used.
        made = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
        if parsed.get_backend_name() == "sqlite":
            event.listen(made, "connect", _tune_sqlite)
        _migrate(made)
        return made
    except ImportError as error:
        raise StoreError(f"DATABASE_URL: its driver is not installed: {error}. Install it with pip, or name another one.") from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise StoreError("DATABASE_URL: expected something like sqlite:///path.db or postgresql+psycopg://user@host/name.") from None
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(f"The database cannot be used: {reason}. Check DATABASE_URL and SWITCHYARD_HOME.") from None


@contextmanager
def transaction(made: Engine) -> Iterator[Connection]:
    """A connection whose statements all hold, or none does. Raises StoreError."""
    try:
        with made.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(f"The database failed: {reason}. Free some disk, or check DATABASE_URL and SWITCHYARD_HOME.") from None


def _tune_sqlite(connection: object, _record: object) -> None:
    # WAL lets a reader go on while a turn is written; FULL makes what was acknowledged survive a power cut.
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


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
