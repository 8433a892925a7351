"""The `feedback` table: what people said of answers. It holds what retraining needs, so that a run may be deleted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, delete, insert, select

from core.types import OUT_OF_SCOPE
from store.engine import feedback, transaction

_JSON = ("wrong_citations", "routed", "features")


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one person said of one answer.

    rating: -1, 0 or 1. expert: where the question belongs, an expert or out_of_scope. wrong_citations: numbers of the answer's citations.
    text: the answer as it should be. routed: the experts that were asked. features: the run's signals. created_at: in seconds since the
    epoch, of the last change.
    """

    run_id: str
    owner: str | None
    created_at: float
    question: str
    rating: int | None = None
    expert: str | None = None
    wrong_citations: list[int] = field(default_factory=list)
    text: str | None = None
    comment: str | None = None
    routed: list[str] = field(default_factory=list)
    features: dict[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """One for each run and owner: who speaks again replaces what was said before."""
        return feedback_id(self.run_id, self.owner)

    @property
    def label(self) -> str | None:
        """Where the question belongs: as corrected, or, when the answer was good, where it went; None when neither is said."""
        if self.expert or self.rating != 1 or len(self.routed) > 1:
            return self.expert
        return self.routed[0] if self.routed else OUT_OF_SCOPE

    @property
    def acceptable(self) -> bool | None:
        """Whether the answer was: as rated, and not when anything of it was corrected; None when neither is said."""
        if self.rating:
            return self.rating > 0
        return False if self.expert or self.wrong_citations or self.text else None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"id": self.id, **asdict(self)}


def feedback_id(run_id: str, owner: str | None) -> str:
    """The id of what `owner` says of a run."""
    return hashlib.sha256(json.dumps([run_id, owner]).encode()).hexdigest()[:32]


def save(engine: Engine, given: Feedback) -> None:
    """Write it in the place of what the owner said of the run before. Raises StoreError."""
    row = given.as_dict() | {name: json.dumps(getattr(given, name)) for name in _JSON}
    with transaction(engine) as connection:
        connection.execute(delete(feedback).where(feedback.c.id == given.id))
        connection.execute(insert(feedback).values(row))


def all_feedback(engine: Engine) -> list[Feedback]:
    """Everybody's, oldest first. Raises StoreError."""
    return _found(engine)


def feedback_on(engine: Engine, run_id: str) -> list[Feedback]:
    """Everybody's on one run, oldest first. Raises StoreError."""
    return _found(engine, feedback.c.run_id == run_id)


def feedback_of_runs(engine: Engine, run_ids: Collection[str], owner: str | None) -> dict[str, Feedback]:
    """What the owner said of these runs, by run. Raises StoreError."""
    owned = feedback.c.owner.is_(None) if owner is None else feedback.c.owner == owner
    return {given.run_id: given for given in _found(engine, feedback.c.run_id.in_(run_ids), owned)}


def verdicts(found: Iterable[Feedback]) -> dict[str, bool]:
    """Whether each run's answer was acceptable, where anything says so; of what is given oldest first, the latest word counts."""
    return {one.run_id: one.acceptable for one in found if one.acceptable is not None}


def delete_feedback(engine: Engine, ids: Collection[str]) -> int:
    """Delete by id; gives how many there were. Raises StoreError."""
    return _deleted(engine, feedback.c.id.in_(ids))


def delete_feedback_of(engine: Engine, owner: str) -> int:
    """Delete all that an owner said; gives how much there was. Raises StoreError."""
    return _deleted(engine, feedback.c.owner == owner)


def _deleted(engine: Engine, which: ColumnElement[bool]) -> int:
    with transaction(engine) as connection:
        return int(connection.execute(delete(feedback).where(which)).rowcount)


def _found(engine: Engine, *which: ColumnElement[bool]) -> list[Feedback]:
    with transaction(engine) as connection:
        rows: Sequence[Row[Any]] = connection.execute(select(feedback).where(*which).order_by(feedback.c.created_at, feedback.c.id)).all()
    return [_feedback(row) for row in rows]


def _feedback(row: Row[Any]) -> Feedback:
    values = {name: value for name, value in row._mapping.items() if name != "id"}
    return Feedback(**{**values, **{name: json.loads(values[name]) for name in _JSON}})
