"""The `runs` table: one row a turn; beside it, in `decisions`, what led to the answer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import JSON, ColumnElement, Engine, Row, Text, cast, delete, func, insert, or_, select

from store.engine import decisions, runs, transaction

_ADD_RUN, _ADD_DECISION = insert(runs), insert(decisions)


@dataclass(frozen=True, slots=True)
class Run:
    """A stored turn. `answer` is the answer object; `created_at` is in seconds since the epoch.

    decision: see graph.decision; empty where it was not asked for, or not kept.
    """

    run_id: str
    thread_id: str
    created_at: float
    owner: str | None
    question: str
    answer: dict[str, Any]
    decision: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """A stored turn in short. created_at: seconds since the epoch; confidence: in [0, 1]; cost_usd: None where the price is unknown."""

    run_id: str
    thread_id: str
    created_at: float
    owner: str | None
    question: str
    experts: tuple[str, ...]
    outcome: str
    confidence: float
    cost_usd: float | None
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which turns; None leaves it open. since: seconds since the epoch; local: only those that were asked without a key."""

    since: float | None = None
    expert: str | None = None
    outcome: str | None = None
    thread: str | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation: its first question, its number of turns and the time of its last one."""

    thread_id: str
    title: str
    turns: int
    updated_at: float


def record(
    engine: Engine,
    question: str,
    answer: Mapping[str, Any],
    features: Mapping[str, float],
    owner: str | None,
    decision: Mapping[str, Any] | None = None,
) -> None:
    """Write one turn. Raises StoreError."""
    row = {
        "run_id": answer["run_id"],
        "thread_id": answer["thread_id"],
        "created_at": time.time(),
        "owner": owner,
        "question": question,
        "answer": _json(answer),
        "features": json.dumps(features),
    }
    with transaction(engine) as connection:
        # The row beside the statement, not in it: SQLAlchemy then knows the statement from the turn before.
        connection.execute(_ADD_RUN, row)
        if decision:
            connection.execute(_ADD_DECISION, {"run_id": answer["run_id"], "decision": _json(decision)})


def find_run(engine: Engine, run_id: str) -> Run | None:
    """The turn of that id, whoever's it is, with its decision. Raises StoreError."""
    with transaction(engine) as connection:
        row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
        decision = connection.execute(select(decisions.c.decision).where(decisions.c.run_id == run_id)).scalar()
    return replace(_run(row), decision=json.loads(decision or "{}")) if row else None


def ids_from(engine: Engine, start: str, most: int = 5) -> list[str]:
    """The ids that begin so, `most` of them at most, the newest first. Raises StoreError."""
    wanted = select(runs.c.run_id).where(runs.c.run_id.startswith(start, autoescape=True)).order_by(runs.c.created_at.desc()).limit(most)
    with transaction(engine) as connection:
        return list(connection.execute(wanted).scalars())


def turns(engine: Engine, wanted: Wanted, limit: int | None = None) -> list[Turn]:
    """The turns in short, the newest first, `limit` at most. Raises StoreError."""
    columns = [runs.c[name] for name in ("run_id", "thread_id", "created_at", "owner", "question")]
    expert, outcome = _said("expert").as_string(), _said("outcome").as_string()
    numbers = [_said(name).as_float() for name in ("confidence", "cost_usd", "latency_ms")]
    found = select(*columns, expert, outcome, *numbers).order_by(runs.c.created_at.desc(), runs.c.run_id).limit(limit)
    if wanted.since is not None:
        found = found.where(runs.c.created_at >= wanted.since)
    if wanted.expert is not None:
        # Several experts are a list.
        found = found.where(or_(expert == wanted.expert, expert.contains(json.dumps(wanted.expert), autoescape=True)))
    if wanted.outcome is not None:
        found = found.where(outcome == wanted.outcome)
    if wanted.thread is not None:
        found = found.where(runs.c.thread_id == wanted.thread)
    if wanted.local:
        found = found.where(runs.c.owner.is_(None))
    with transaction(engine) as connection:
        return [_turn(*row) for row in connection.execute(found)]


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
        of_thread = select(runs.c.run_id).where(runs.c.thread_id == thread_id)
        connection.execute(delete(decisions).where(decisions.c.run_id.in_(of_thread)))
        return int(connection.execute(delete(runs).where(runs.c.thread_id == thread_id)).rowcount)


def _run(row: Row[Any]) -> Run:
    return Run(row.run_id, row.thread_id, row.created_at, row.owner, row.question, json.loads(row.answer))


def _json(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # PostgreSQL takes no field out of a JSON text that holds a NUL anywhere. An escape has an even number of backslashes before it.
    return re.sub(r"(?<!\\)((?:\\\\)*)\\u0000", r"\1", text) if r"\u0000" in text else text


def _said(name: str) -> ColumnElement[Any]:
    """A field of the answer object, taken out by the database: an answer holds whole passages."""
    # SQLite has no type for JSON, and reads it from text.
    return cast(runs.c.answer, JSON().with_variant(Text(), "sqlite"))[name]


def _turn(run_id: str, thread: str, at: float, owner: str | None, question: str, expert: str | None, *said: Any) -> Turn:
    experts = json.loads(expert) if expert and expert.startswith("[") else [expert] if expert else []
    return Turn(run_id, thread, at, owner, question, tuple(experts), *said)
