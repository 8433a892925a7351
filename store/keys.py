"""The `keys` table: who may use the server, how often, and for how much. Of a key only its SHA-256 is stored."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, case, delete, func, insert, literal, select, update

from core.errors import UnknownNameError
from store.engine import holds, keys, transaction

PREFIX = "sy-"
_ID_BYTES, _SECRET_BYTES = 4, 32
_MINUTE_S = 60.0
_ANY = select(keys.c.key_id).limit(1)
"""Built once, because every request asks it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored: never itself. Times are in seconds since the epoch, UTC; a limit that is None does not hold.

    per_minute: requests; budget_usd: a calendar month's (UTC); spent_usd: this month.
    """

    key_id: str
    owner: str
    created_at: float
    revoked_at: float | None
    per_minute: int | None
    budget_usd: float | None
    spent_usd: float

    @property
    def money_left(self) -> bool:
        """Whether the month's budget is not spent."""
        return self.budget_usd is None or self.spent_usd < self.budget_usd


def create(engine: Engine, owner: str, per_minute: int | None = None, budget_usd: float | None = None) -> tuple[Key, str]:
    """A new key for `owner`, and the secret itself, which nobody can ask for again. Raises StoreError."""
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    now = time.time()
    key = Key(secrets.token_hex(_ID_BYTES), owner, now, None, per_minute, budget_usd, 0.0)
    row = {
        "key_id": key.key_id,
        "digest": _digest(secret),
        "owner": owner,
        "created_at": now,
        "per_minute": per_minute,
        "budget_usd": budget_usd,
        "allowance": float(per_minute or 0),
        "filled_at": now,
        "month": _month(),
        "spent_usd": 0.0,
    }
    with transaction(engine) as connection:
        connection.execute(insert(keys).values(row))
    return key, secret


def revoke(engine: Engine, key_id: str) -> None:
    """From now on the key opens nothing. Raises UnknownNameError when there is no such key in use, StoreError."""
    with transaction(engine) as connection:
        in_use = keys.c.revoked_at.is_(None)
        if not connection.execute(update(keys).where(keys.c.key_id == key_id, in_use).values(revoked_at=time.time())).rowcount:
            known = connection.execute(select(keys.c.key_id).where(in_use).order_by(keys.c.created_at)).scalars()
            raise UnknownNameError("key in use", key_id, list(known))


def listed(engine: Engine) -> list[Key]:
    """All keys, oldest first, revoked ones too. Raises StoreError."""
    with transaction(engine) as connection:
        return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at))]


def any_key(engine: Engine) -> bool:
    """Whether a key was ever made, revoked or not: from then on nobody comes in without one. Raises StoreError."""
    with transaction(engine) as connection:
        return connection.execute(_ANY).first() is not None


def find(engine: Engine, secret: str) -> Key | None:
    """The key in use whose secret this is. Raises StoreError."""
    with transaction(engine) as connection:
        row = connection.execute(select(keys).where(keys.c.digest == _digest(secret), keys.c.revoked_at.is_(None))).first()
        return _key(row) if row else None


def take(engine: Engine, key: Key) -> float:
    """Count one request: 0.0 when it is within the key's limit, else the seconds to wait. Raises StoreError.

    A token bucket that holds a minute's requests, in one statement, so that all processes together keep to the limit.
    """
    if key.per_minute is None:
        return 0.0
    now, rate = time.time(), key.per_minute / _MINUTE_S
    passed = _between(0.0, now - keys.c.filled_at, _MINUTE_S)
    left = _between(0.0, keys.c.allowance + passed * rate, float(key.per_minute))
    with transaction(engine) as connection:
        taking = update(keys).where(keys.c.key_id == key.key_id, left >= 1.0).values(allowance=left - 1.0, filled_at=now)
        if connection.execute(taking).rowcount:
            return 0.0
        found = connection.execute(select(left).where(keys.c.key_id == key.key_id)).scalar_one()
        return max(0.0, (1.0 - float(found)) / rate)


def hold(engine: Engine, key: Key, usd: float, for_s: float) -> str | None:
    """Keep `usd` of the month's budget for a turn that begins, until it is charged or `for_s` seconds have passed.

    Gives the hold's id; None when the budget is spent, or what is left of it is held by others. Raises StoreError.
    """
    with transaction(engine) as connection:
        # Writing first locks the key in every database: no two turns see the same money.
        connection.execute(update(keys).where(keys.c.key_id == key.key_id).values(key_id=key.key_id))
        connection.execute(delete(holds).where(holds.c.until < time.time()))
        if _left(connection, key) <= 0:
            return None
        made = secrets.token_hex(16)
        connection.execute(insert(holds).values(id=made, key_id=key.key_id, usd=usd, until=time.time() + for_s))
        return made


def left(engine: Engine, key: Key) -> float:
    """USD of the month's budget that are neither spent nor held. Raises StoreError."""
    with transaction(engine) as connection:
        return _left(connection, key)


def charge(engine: Engine, key: Key, cost_usd: float, held: str | None = None) -> None:
    """Add what a turn cost to the month's spending, in the place of what was held for it. Raises StoreError."""
    month = _month()
    spent = case((keys.c.month == month, keys.c.spent_usd + cost_usd), else_=cost_usd)
    with transaction(engine) as connection:
        connection.execute(update(keys).where(keys.c.key_id == key.key_id).values(spent_usd=spent, month=month))
        connection.execute(delete(holds).where(holds.c.id == held))


def _left(connection: Connection, key: Key) -> float:
    now = _key(connection.execute(select(keys).where(keys.c.key_id == key.key_id)).one())
    held = select(func.coalesce(func.sum(holds.c.usd), 0.0)).where(holds.c.key_id == key.key_id, holds.c.until >= time.time())
    return math.inf if now.budget_usd is None else now.budget_usd - now.spent_usd - float(connection.execute(held).scalar_one())


def _between(low: float, value: ColumnElement[float], high: float) -> ColumnElement[float]:
    return case((value < low, literal(low)), (value > high, literal(high)), else_=value)


def _digest(secret: str) -> str:
    # No salt and no slow hash: 256 random bits cannot be guessed, and every request looks one up.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _month() -> str:
    return time.strftime("%Y-%m", time.gmtime())


def _key(row: Row[Any]) -> Key:
    spent = row.spent_usd if row.month == _month() else 0.0
    return Key(row.key_id, row.owner, row.created_at, row.revoked_at, row.per_minute, row.budget_usd, spent)
