"""What Markdown hides, and what it shows as it stands: comments, and code between fences."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARK = re.compile(r"^[ \t]*(?P<fence>`{3,}+(?![^\n]*`)|~{3,})|(?<![`\\])(?P<ticks>`{1,2})(?!`)[^`\n]+(?P=ticks)(?!`)|<!--", re.MULTILINE)
_CLOSING = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*$", re.MULTILINE)


def without_comments(text: str) -> str:
    """The text without its HTML comments, which nobody sees. In code they are shown, and stay."""
    kept, at = [], 0
    for kind, start, end in _hiding(text):
        if kind == "comment":
            kept.append(text[at:start])
            at = end
    return "".join([*kept, text[at:]])


def lines_of(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is one of code. In the place of a fence stands an empty line: both end a paragraph."""
    at = 0
    for kind, start, end in _hiding(text):
        if kind == "fence":
            yield from ((line, False) for line in text[at:start].split("\n"))
            yield from ((line, True) for line in text[start:end].split("\n")[1:-1])
            at = end
    yield from ((line, False) for line in text[at:].split("\n"))


def _hiding(text: str) -> Iterator[tuple[str, int, int]]:
    """(`comment`, `fence` or `code`, start, end) in order: whatever begins first hides what would begin inside it.

    A fence that nothing closes is none: the rest of a text would lose its headings by it.
    """
    at, unclosed = 0, {"`": len(text), "~": len(text)}
    last = text.rfind("-->")
    for mark in _MARK.finditer(text):
        start = mark.start()
        if start < at:
            continue
        kind, end = "code", mark.end()
        if fence := mark["fence"]:
            kind, end = "fence", _closed(text, fence, end) if len(fence) < unclosed[fence[0]] else 0
            if not end:
                unclosed[fence[0]] = min(len(fence), unclosed[fence[0]])  # for none after it, either: they need not be looked for
        elif not mark["ticks"]:
            kind, end = "comment", _comment_end(text, start, last)
        if end:
            yield kind, start, end
            at = end


def _closed(text: str, fence: str, after: int) -> int:
    """Where the fence that is opened before `after` ends; 0 where nothing closes it."""
    line = text.find("\n", after)
    closing = (m for m in _CLOSING.finditer(text, line + 1) if m[1].startswith(fence)) if line >= 0 else ()
    return next((m.end() for m in closing), 0)


def _comment_end(text: str, start: int, last: int) -> int:
    """Where the comment ends; 0 where it is none. One that begins a line and that nothing closes hides all that follows."""
    if start + 2 <= last:
        return text.index("-->", start + 2) + 3
    return len(text) if not text[text.rfind("\n", 0, start) + 1 : start].strip() else 0
