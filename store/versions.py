"""The `versions` table: what was learnt while in use, in numbered versions, so that every worker of every machine serves the same one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.errors import InputError, StoreError
from store.engine import transaction, versions

SHIPPED = 0
"""The number of what ships: nothing was learnt."""


class Overtaken(StoreError):  # noqa: N818  # a word for what happened
    """Somebody else was quicker."""

    def __init__(self) -> None:
        super().__init__("Another retraining or rollback came in between, and nothing was changed. Try again.")


@dataclass(frozen=True, slots=True)
class Version:
    """One retraining. `before`: the version that was in service then; created_at: in seconds since the epoch; report: anything for JSON."""

    number: int
    before: int
    created_at: float
    promoted: bool
    report: dict[str, Any] = field(default_factory=dict)


def history(engine: Engine, name: str) -> list[Version]:
    """All versions, oldest first. Raises StoreError."""
    with transaction(engine) as connection:
        rows = connection.execute(select(*_ABOUT).where(versions.c.name == name).order_by(versions.c.number)).all()
    return [_version(row) for row in rows]


def serving(engine: Engine, name: str) -> tuple[int, str]:
    """The number in service and the checksum of its files; SHIPPED and "" where there is none. Raises StoreError."""
    with transaction(engine) as connection:
        return _serving(connection, name)


def files_of(engine: Engine, name: str, number: int) -> bytes:
    """The files of a promoted version, as they were added. Raises StoreError where they are gone or damaged."""
    wanted = select(versions.c.files, versions.c.checksum).where(versions.c.name == name, versions.c.number == number)
    with transaction(engine) as connection:
        row = connection.execute(wanted).first()
    if row is None or row.files is None or _checksum(row.files) != row.checksum:
        raise StoreError(f"Version {number} of {name} is not as it was stored. Run: switchyard {name} rollback")
    return bytes(row.files)


def add(engine: Engine, name: str, made: Version, files: bytes | None) -> None:
    """Store a version, in service when it is promoted; then it must have files. Raises Overtaken, StoreError."""
    with transaction(engine) as connection:
        if _serving(connection, name)[0] != made.before:
            raise Overtaken
        if made.promoted:
            connection.execute(update(versions).where(versions.c.name == name).values(in_service=False))
        _insert(connection, [_row(name, made, files, in_service=made.promoted)])


def adopt(engine: Engine, name: str, found: Sequence[tuple[Version, bytes | None]], in_service: int) -> None:
    """Store versions that were kept elsewhere, unless there are some already. Raises StoreError."""
    with suppress(Overtaken), transaction(engine) as connection:
        if found and connection.execute(select(versions.c.number).where(versions.c.name == name).limit(1)).first() is None:
            _insert(connection, [_row(name, made, files, in_service=made.number == in_service) for made, files in found])


def roll_back(engine: Engine, name: str) -> int:
    """Put the version into service that was before; gives its number. Raises InputError where what ships is in service, StoreError."""
    with transaction(engine) as connection:
        number, _ = _serving(connection, name)
        if number == SHIPPED:
            raise InputError("Expected a promoted version to roll back from; what ships is in service already.")
        one = versions.c.name == name, versions.c.number == number
        before = connection.execute(select(versions.c.previous).where(*one)).scalar_one()
        if not connection.execute(update(versions).where(*one, versions.c.in_service).values(in_service=False)).rowcount:
            raise Overtaken
        connection.execute(update(versions).where(versions.c.name == name, versions.c.number == before).values(in_service=True))
        return int(before)


def replace_files(engine: Engine, name: str, number: int, files: bytes) -> None:
    """Change a version; whoever has it open opens it anew. Raises StoreError."""
    with transaction(engine) as connection:
        one = update(versions).where(versions.c.name == name, versions.c.number == number)
        connection.execute(one.values(files=files, checksum=_checksum(files)))


_ABOUT = [column for column in versions.c if column.name not in ("name", "files", "in_service")]


def _serving(connection: Connection, name: str) -> tuple[int, str]:
    row = connection.execute(select(versions.c.number, versions.c.checksum).where(versions.c.name == name, versions.c.in_service)).first()
    return (row.number, row.checksum) if row else (SHIPPED, "")


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    try:
        connection.execute(insert(versions), rows)
    except IntegrityError:  # the number is taken by now
        raise Overtaken from None


def _version(row: Row[Any]) -> Version:
    return Version(row.number, row.previous, row.created_at, row.checksum is not None, json.loads(row.report))


def _row(name: str, made: Version, files: bytes | None, *, in_service: bool) -> dict[str, Any]:
    return {
        "name": name,
        "number": made.number,
        "previous": made.before,
        "created_at": made.created_at,
        "in_service": in_service,
        "report": json.dumps(made.report, ensure_ascii=False),
        "files": files,
        "checksum": None if files is None else _checksum(files),
    }


def _checksum(files: bytes) -> str:
    return hashlib.sha256(files).hexdigest()
