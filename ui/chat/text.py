"""Text of models, documents and users, made safe to show: no script, no remote image, no formula where a price was meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape

_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_IMAGE = re.compile(r"!\[([^\]]*)\]\(")
_DIAGRAM = re.compile(r"((?:`{3,}|~{3,})[ \t]*)(?=[^\n]*(?:mermaid|&))", re.IGNORECASE)
_MARKER = re.compile(r"( ?)\[(\d{1,3})\]")
_LINE_BEGINS = re.compile(r"\s*(?:[-*+>#]+|\d+[.)])?")
_DIRECTIVE = re.compile(r":(?=[^\W\d_])")
_JOINER = "\u2060"
_NO_BREAK = "\u00a0"
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


def markdown(text: str, known: Collection[int] = (), anchor: str = "") -> str:
    """A model's Markdown for `st.markdown`, in which the markers `[n]` of `known` link to `#<anchor>-n`.

    Images become links and diagrams code, for both could fetch something from elsewhere; tags, `$` and Streamlit's own
    words, such as `:red[...]` and `:material/home:`, are shown as written. A marker stays on the line of the word before it.
    """
    # Code is spared the cosmetics, but not this: what looks like code here need not be code to the browser's parser.
    harmless = _IMAGE.sub(r"[image: \1](", re.sub(r"\r\n?", "\n", text)).replace("![", "! [")
    parts = _CODE.split(_DIAGRAM.sub(r"\1text ", harmless))
    parts[::2] = [_prose(part, known, anchor) for part in parts[::2]]
    return "".join(parts)


def _prose(text: str, known: Collection[int], anchor: str) -> str:
    def link(match: re.Match[str]) -> str:
        space, n = match.groups()
        if int(n) not in known:
            return match[0]
        line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
        glued = space and not _LINE_BEGINS.fullmatch(line)
        return f"{_NO_BREAK if glued else space}[{n}](#{anchor}-{n})"

    # What nobody sees after the colon: a backslash before it would leave the icons.
    inert = _DIRECTIVE.sub(f":{_JOINER}", text)
    return _MARKER.sub(link, inert.replace("$", r"\$").replace("<", "&lt;"))


def highlighted(passage: str, quotes: Sequence[str]) -> str:
    """The passage as HTML, everything escaped, the quotes in `<mark>`; a quote that does not stand in it is left out.

    Quotes are found whatever the white space between their words.
    """
    spans = sorted(span for quote in quotes for span in _find(passage, quote))
    html, at = [], 0
    for start, end in spans:
        if end > at:
            start = max(start, at)
            html += [escape(passage[at:start]), "<mark>", escape(passage[start:end]), "</mark>"]
            at = end
    return "".join([*html, escape(passage[at:])])


def _find(passage: str, quote: str) -> list[tuple[int, int]]:
    words = quote.split()
    found = re.search(r"\s+".join(map(re.escape, words)), passage) if words else None
    return [found.span()] if found else []


def label(text: str, limit: int = 300) -> str:
    """A text on one line, for a widget's label: shown as written, whatever Markdown it holds; cut after `limit` characters."""
    line = " ".join(text.split())
    short = line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"
    return _PUNCTUATION.sub(r"\\\g<0>", short)
