"""PostgreSQL's advisory locks, all of a process in one session: a turn that holds one while its model answers takes no connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

_TRY_S = 0.05


class StillHeld(Exception):  # noqa: N818  # what happened, like the standard library's StopIteration
    """Somebody else has had the lock for as long as one would wait."""


class AdvisoryLocks:
    """Locks by number, shared by threads. connect: opens a session, now and whenever it broke; what it held is free then."""

    def __init__(self, connect: Callable[[], Connection[Any]]) -> None:
        self._connect = connect
        self._session: Connection[Any] | None = None
        self._using, self._counting = Lock(), Lock()
        self._own: dict[int, tuple[Lock, int]] = {}
        """Of this process: a lock for each number in use, and how many hold it or wait for it. To PostgreSQL they are all one."""

    @contextmanager
    def held(self, number: int, wait_s: float) -> Iterator[None]:
        """Hold the lock of that number over all processes. Raises StillHeld after so long, and what psycopg raises."""
        from psycopg import OperationalError

        until = time.monotonic() + wait_s
        with self._held_here(number, until):
            while not self._taken(number):
                if time.monotonic() > until:
                    raise StillHeld
                time.sleep(_TRY_S)
            try:
                yield
            finally:
                with suppress(OperationalError):  # the session broke: the lock went with it
                    self._ask("SELECT pg_advisory_unlock(%s)", number)

    def close(self) -> None:
        """End the session."""
        if self._session:
            self._session.close()

    @contextmanager
    def _held_here(self, number: int, until: float) -> Iterator[None]:
        with self._counting:
            lock, users = self._own.get(number, (Lock(), 0))
            self._own[number] = lock, users + 1
        try:
            if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
                raise StillHeld
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._counting:
                lock, users = self._own.pop(number)
                if users > 1:
                    self._own[number] = lock, users - 1

    def _taken(self, number: int) -> bool:
        from psycopg import OperationalError

        statement = "SELECT pg_try_advisory_lock(%s)"
        try:
            return self._ask(statement, number)
        except OperationalError:  # perhaps the session had been broken since its last use
            return self._ask(statement, number)

    def _ask(self, statement: str, number: int) -> bool:
        with self._using:
            if self._session is None or self._session.closed:
                self._session = self._connect()
            row = self._session.execute(statement, (number,)).fetchone()
            return bool(row and row[0])
