"""What is spent on models that a router or a recommender asks: what they hand back is a decision, and says nothing of its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar, copy_context
from typing import TypeVar

from core.types import ModelUse

Result = TypeVar("Result")
_SPENT: ContextVar[list[ModelUse]] = ContextVar("spent")


def counted(work: Callable[[], Result]) -> tuple[Result, list[ModelUse]]:
    """What the work returns, and what this thread spends in it.

    It runs in a context of its own: nothing has to be undone, wherever Ctrl-C finds it.
    """
    context = copy_context()
    found: list[ModelUse] = []
    context.run(_SPENT.set, found)
    return context.run(work), found


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
