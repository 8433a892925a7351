"""The `runs` table: one row a turn."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, delete, func, insert, select

from store.engine import runs, transaction


@dataclass(frozen=True, slots=True)
class Run:
    """A stored turn. `answer` is the answer object; `created_at` is in seconds since the epoch."""

    run_id: str
    thread_id: str
    created_at: float
    owner: str | None
    question: str
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation: its first question, its number of turns and the time of its last one."""

    thread_id: str
    title: str
    turns: int
    updated_at: float


def record(engine: Engine, question: str, answer: Mapping[str, Any], features: Mapping[str, float], owner: str | None) -> None:
    """Write one turn. Raises StoreError."""
    row = {
        "run_id": answer["run_id"],
        "thread_id": answer["thread_id"],
        "created_at": time.time(),
        "owner": owner,
        "question": question,
        "answer": json.dumps(answer, ensure_ascii=False),
        "features": json.dumps(features),
    }
    with transaction(engine) as connection:
        connection.execute(insert(runs).values(row))


def find_run(engine: Engine, run_id: str) -> Run | None:
    """The turn of that id, whoever's it is. Raises StoreError."""
    with transaction(engine) as connection:
        row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
    return _run(row) if row else None


def thread_runs(engine: Engine, thread_id: str) -> list[Run]:
    """The turns of a thread, oldest first. Raises StoreError."""
    with transaction(engine) as connection:
        rows = connection.execute(select(runs).where(runs.c.thread_id == thread_id).order_by(runs.c.created_at))
        return [_run(row) for row in rows]


def threads(engine: Engine, owner: str | None = None, limit: int = 100) -> list[Thread]:
    """The owner's threads, last used first; a turn that stands alone, whose thread is named like its run, is none. Raises StoreError."""
    start, end = func.min(runs.c.created_at).label("start"), func.max(runs.c.created_at).label("end")
    owned = runs.c.owner.is_(None) if owner is None else runs.c.owner == owner
    goes_on = runs.c.thread_id != runs.c.run_id
    mine = select(runs.c.thread_id, start, func.count().label("turns"), end).where(owned, goes_on).group_by(runs.c.thread_id).subquery()
    # min(question): turns of one thread may begin in the same instant.
    wanted = (
        select(mine.c.thread_id, func.min(runs.c.question), mine.c.turns, mine.c.end)
        .join(runs, (runs.c.thread_id == mine.c.thread_id) & (runs.c.created_at == mine.c.start))
        .group_by(mine.c.thread_id, mine.c.turns, mine.c.end)
        .order_by(mine.c.end.desc())
        .limit(limit)
    )
    with transaction(engine) as connection:
        return [Thread(*row) for row in connection.execute(wanted)]


def delete_thread(engine: Engine, thread_id: str) -> int:
    """Forget a thread's turns; gives how many there were. Raises StoreError."""
    with transaction(engine) as connection:
        return int(connection.execute(delete(runs).where(runs.c.thread_id == thread_id)).rowcount)


def _run(row: Row[Any]) -> Run:
    return Run(row.run_id, row.thread_id, row.created_at, row.owner, row.question, json.loads(row.answer))
