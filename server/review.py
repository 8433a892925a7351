"""A route that waits for its caller's word, as the API shows it; see `graph.review`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graph.review import ACCEPT, DECLINE
from graph.telling import Event


def shown(offered: Mapping[str, Any]) -> Iterator[Event]:
    """The end of a turn that waits: words for people, and `review` {question, route, choices} in the answer object's place."""
    text = in_words(offered)
    spent = {name: offered[name] for name in ("models", "cost_usd")}
    yield {"type": "token", "data": text}
    yield {
        "type": "answer",
        "data": {"answer": text, "citations": [], "notices": [], **spent, "thread_id": offered["thread_id"], "review": review(offered)},
    }


def review(offered: Mapping[str, Any]) -> dict[str, Any]:
    """What waits."""
    return {name: offered[name] for name in ("question", "route", "choices")}


def in_words(offered: Mapping[str, Any]) -> str:
    """What would be done, and what can be said to it."""
    chosen = offered["route"]["expert"]
    names = [chosen] if isinstance(chosen, str) else chosen or ["nobody, for no expert covers it"]
    others = ", ".join(name for name in offered["choices"] if name not in (ACCEPT, DECLINE))
    return f"This would be asked of {' and '.join(names)}. Resume with {ACCEPT}, with another expert ({others}), or with {DECLINE}."
