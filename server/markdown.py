"""The answer as the text of a chat message: inert Markdown, with its sources below."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = "\n\n**Sources**\n\n"
_ACTIVE = re.compile(r"(?<=!)(?=\[)|(?<=<)(?=[A-Za-z/!?])|(?<=\])(?=[(:])")
_MARKUP = re.compile(r"([\\`*_\[\]<>!#|~&])")
QUOTE_CHARS = 200


class Inert:
    """Takes the life out of a text that streams: no picture is fetched, no HTML is read and no link hides where it leads.

    A space goes into what would make one (`![`, `<b`, `](`, `]:`), whatever a model or a document says: `[1](address)` must not pass for a
    source. A backslash would not do, for the text may hold one before it.
    """

    def __init__(self) -> None:
        self._last = ""

    def feed(self, piece: str) -> str:
        """The same text, made inert."""
        safe = _ACTIVE.sub(" ", self._last + piece)[len(self._last) :]
        self._last = piece[-1:] or self._last
        return safe


def sources(citations: Sequence[Mapping[str, Any]]) -> str:
    """The list below an answer: number, title, source and the words that support it; nothing without citations."""
    lines = []
    for n in sorted({c["n"] for c in citations}):
        own = [c for c in citations if c["n"] == n]
        quotes = " … ".join(f"“{_line(quote, QUOTE_CHARS)}”" for quote in dict.fromkeys(c["quote"] for c in own))
        where = f" ({_line(own[0]['source'], QUOTE_CHARS)})" if own[0]["source"] else ""
        lines.append(f"- [{n}] **{_line(own[0]['title'], QUOTE_CHARS)}**{where}: {quotes}")
    return _HEAD + "\n".join(lines) if lines else ""


def without_sources(text: str) -> str:
    """An earlier answer as the model gave it: clients send back what they were sent."""
    # The last one: a model may write such a head of its own, above the list.
    before, head, after = text.rpartition(_HEAD)
    return before if head else after


def _line(text: str, limit: int) -> str:
    flat = " ".join(text.split())
    return Inert().feed(_MARKUP.sub(r"\\\1", flat if len(flat) <= limit else flat[: limit - 1] + "…"))
