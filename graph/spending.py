"""What is spent on models that a router or a recommender asks: what they hand back is a decision, and says nothing of its cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from core.types import ModelUse

_SPENT: ContextVar[list[ModelUse]] = ContextVar("spent")


@contextmanager
def spending() -> Iterator[list[ModelUse]]:
    """What this thread spends during the block."""
    found: list[ModelUse] = []
    token = _SPENT.set(found)
    try:
        yield found
    finally:
        _SPENT.reset(token)


def spent(use: ModelUse) -> None:
    """Count a call, where anybody counts."""
    _SPENT.get([]).append(use)


def total(costs: Iterable[float | None]) -> float | None:
    """Their sum in USD; None as soon as one is unknown."""
    known: list[float] = []
    for cost in costs:
        if cost is None:
            return None
        known.append(cost)
    return round(sum(known), 8)
