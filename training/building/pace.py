"""How fast each provider is asked: calls at once, calls a minute, and the pauses that it asks for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from llms.registry import HOSTED


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each provider: calls at once, and calls started a minute. A model of this machine is asked one call at a time."""

    concurrency: int = 8
    rate: int = 600


@dataclass(slots=True)
class Lane:
    """One provider: its calls at once, and when the next one may start (seconds, monotonic)."""

    gate: asyncio.Semaphore
    gap_s: float
    next_at: float = 0.0

    def turn(self) -> float:
        """Take the next start; gives the seconds until then."""
        now = time.monotonic()
        start = max(now, self.next_at)
        self.next_at = start + self.gap_s
        return start - now

    def pause(self, seconds: float) -> None:
        """Start no call for a while."""
        self.next_at = max(self.next_at, time.monotonic() + seconds)


@dataclass(slots=True)
class Lanes:
    """The lanes of all providers, used within one event loop."""

    limits: Limits
    _lanes: dict[str, Lane] = field(default_factory=dict)

    def of(self, provider: str) -> Lane:
        """The provider's lane."""
        if provider not in self._lanes:
            at_once, gap_s = (self.limits.concurrency, 60 / self.limits.rate) if provider in HOSTED else (1, 0.0)
            self._lanes[provider] = Lane(asyncio.Semaphore(at_once), gap_s)
        return self._lanes[provider]
