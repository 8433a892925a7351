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


@cache
def engine(url: str) -> Engine:
    """The engine of `url`, its schema made where it is new. Raises StoreError when the database cannot be used."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        made = create_engine(parsed)
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
