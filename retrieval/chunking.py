"""Documents to passages: whole sentences, one heading at a time, with ids that survive edits elsewhere in the document."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from core.types import Passage
from retrieval.loaders import Document
from retrieval.text import sentences

_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$")
MAX_WORDS = 130


def chunk(documents: Iterable[Document], *, max_words: int = MAX_WORDS) -> list[Passage]:
    """Passages of at most `max_words` words (a longer sentence is cut at words), never across a heading."""
    return [passage for document in documents for passage in _chunk_one(document, max_words)]


def _chunk_one(document: Document, max_words: int) -> Iterator[Passage]:
    if document.whole:
        yield Passage(document.id, document.title, document.text.strip(), document.source, document.id)
        return
    seen: Counter[str] = Counter()
    for heading, body in _sections(document.text):
        title = f"{document.title}: {heading}" if heading and heading != document.title else document.title
        for text in _pack(body, max_words):
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            seen[digest] += 1
            again = f"-{seen[digest]}" if seen[digest] > 1 else ""
            yield Passage(f"{document.id}#{digest}{again}", title, text, document.source, document.id)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """(heading, paragraphs) in order; text before the first heading has the heading ''."""
    heading, paragraphs, lines = "", [], []  # type: str, list[str], list[str]
    for line in [*text.replace("\r\n", "\n").split("\n"), ""]:
        match = _HEADING.match(line)
        if (match or not line.strip()) and lines:
            paragraphs.append(" ".join(lines))
            lines = []
        if match:
            if paragraphs:
                yield heading, paragraphs
            heading, paragraphs = match[1], []
        elif line.strip():
            lines.append(line.strip())
    if paragraphs:
        yield heading, paragraphs


def _pack(paragraphs: list[str], max_words: int) -> Iterator[str]:
    """Fill passages with whole sentences, evenly: a section of 140 words becomes two of about 70, not 130 and 10."""
    pieces = [piece for p in paragraphs for s in sentences(p) for piece in _cut(s, max_words)]
    total = sum(len(p.split()) for p in pieces)
    target = total / max(1, -(-total // max_words))
    batch: list[str] = []
    size = 0
    for piece in pieces:
        n = len(piece.split())
        if batch and (size + n > max_words or size >= target):
            yield " ".join(batch)
            batch, size = [], 0
        batch.append(piece)
        size += n
    if batch:
        yield " ".join(batch)


def _cut(sentence: str, max_words: int) -> Iterator[str]:
    tokens = sentence.split()
    for start in range(0, len(tokens), max_words):
        yield " ".join(tokens[start : start + max_words])
