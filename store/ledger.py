"""The ledger of paid calls: a row for each try of a call, written before it is sent and closed when its end is known.

A row's state: `sent` (on its way), `done` (answered), `failed` (it gave nothing, and what it cost is known), `unknown` (it ended without a
reply that arrived whole, so it may have been paid), `dropped` (answered, but a fresh answer was asked for).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Engine, func, insert, select, text, update

from core.errors import StoreError
from store.engine import LEDGER_LOCK, calls, transaction

SENT, DONE, FAILED, UNKNOWN, DROPPED = "sent", "done", "failed", "unknown", "dropped"
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """A call that was answered. cost_usd: None where the price is unknown."""

    key: str
    model: str
    text: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    latency_ms: float


@contextmanager
def exclusive(engine: Engine) -> Iterator[int]:
    """The ledger for one process alone; gives the number of calls that an earlier process left on their way, now `unknown`.

    Raises StoreError at once where another process has it. The lock ends with the process, however that ends.
    """
    busy = StoreError(
        "Another build is using this ledger. Wait until it ends and run the same command again, or set another SWITCHYARD_HOME."
    )
    if engine.dialect.name == "sqlite":
        lock = FileLock(Path(f"{engine.url.database}.ledger.lock"))
        try:
            with lock.acquire(blocking=False):
                yield _close_open(engine)
        except Timeout:
            raise busy from None
        return
    with engine.connect() as connection:
        if not connection.execute(text(f"SELECT pg_try_advisory_lock({LEDGER_LOCK})")).scalar():
            raise busy
        connection.commit()
        try:
            yield _close_open(engine)
        finally:
            connection.execute(text(f"SELECT pg_advisory_unlock({LEDGER_LOCK})"))


def _close_open(engine: Engine) -> int:
    with transaction(engine) as connection:
        return int(connection.execute(update(calls).where(calls.c.state == SENT).values(state=UNKNOWN)).rowcount)


def begin(engine: Engine, key: str, job: str, model: str, most_usd: float | None) -> tuple[int, str]:
    """Note that a call is about to be sent. Gives the row's number and the idempotency key to send with it. Raises StoreError.

    The idempotency key is that of an earlier try whose end is unknown, so that a provider which knows it does not charge again.
    """
    earlier = select(calls.c.token).where(calls.c.key == key, calls.c.state == UNKNOWN).order_by(calls.c.id.desc()).limit(1)
    with transaction(engine) as connection:
        token = connection.execute(earlier).scalar() or uuid.uuid4().hex
        row = {"key": key, "job": job, "model": model, "state": SENT, "token": token, "started_at": time.time(), "cost_usd": most_usd}
        made = connection.execute(insert(calls).values(row)).inserted_primary_key
    assert made is not None  # the database numbers the rows
    return int(made[0]), token


def finish(engine: Engine, row: int, reply: Entry) -> None:
    """Note a call's reply. Raises StoreError."""
    values = {
        "state": DONE,
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
        "cost_usd": reply.cost_usd,
        "latency_ms": reply.latency_ms,
    }
    with transaction(engine) as connection:
        connection.execute(update(calls).where(calls.c.id == row).values(values))


def fail(engine: Engine, row: int, fault: str, *, state: str = FAILED, free: bool = True) -> None:
    """Note that a call gave no reply. `free`: it cost nothing; otherwise it counts as the most that it can have cost. Raises StoreError."""
    values = {"state": state, "text": storable(fault)} | ({"cost_usd": 0.0} if free else {})
    with transaction(engine) as connection:
        connection.execute(update(calls).where(calls.c.id == row).values(values))


def answered(engine: Engine, keys: Sequence[str]) -> dict[str, Entry]:
    """The calls of `keys` that were answered, whatever they were made for. Raises StoreError."""
    columns = [calls.c[name] for name in Entry.__slots__]
    found: dict[str, Entry] = {}
    with transaction(engine) as connection:
        for part in _parts(keys):
            rows = connection.execute(select(*columns).where(calls.c.key.in_(part), calls.c.state == DONE).order_by(calls.c.id))
            found |= {row.key: Entry(*row) for row in rows}
    return found


def drop(engine: Engine, keys: Sequence[str]) -> None:
    """Answers of `keys` that are not to be used again; their rows stay. Raises StoreError."""
    with transaction(engine) as connection:
        for part in _parts(keys):
            connection.execute(update(calls).where(calls.c.key.in_(part), calls.c.state == DONE).values(state=DROPPED))


def spent(engine: Engine, job: str) -> float:
    """USD that a job's calls cost, dropped ones too; those whose end is unknown at the most that they can cost. Raises StoreError."""
    total = select(func.coalesce(func.sum(calls.c.cost_usd), 0.0)).where(calls.c.job == job)
    with transaction(engine) as connection:
        return float(connection.execute(total).scalar_one())


def storable(text: str) -> str:
    """Without what a database refuses: half characters, and PostgreSQL's NUL."""
    return text.encode(errors="replace").decode().replace("\0", "")


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    # A statement takes a limited number of values.
    return (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))
