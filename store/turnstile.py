"""A lock that lets threads through in the order in which they came. Python's own goes to whoever is quickest, which starves some."""

from __future__ import annotations

from collections import deque
from threading import Lock


class Turnstile:
    """Acquired by one thread and released by any."""

    def __init__(self) -> None:
        self._guard, self._taken = Lock(), False
        self._waiting: deque[Lock] = deque()

    def acquire(self, timeout_s: float) -> bool:
        """Whether one's turn came within that time."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=timeout_s):
            return True
        with self._guard:
            if mine not in self._waiting:
                return True  # it came just now
            self._waiting.remove(mine)
            return False

    def release(self) -> None:
        """Let the next one through."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
