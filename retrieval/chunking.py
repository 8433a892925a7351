"""Documents to passages: whole sentences, one heading at a time, with ids that survive edits elsewhere in the document."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from core.types import Passage
from retrieval.loaders import Document
from retrieval.markdown import lines_of
from retrieval.text import sentences

_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$")
_ITEM = re.compile(r"(?:[-*+]|(\d{1,9})[.)])\s+\S")
# Thai, Lao, Burmese, Khmer, Chinese and Japanese, with their punctuation.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_WITHOUT_SPACES = re.compile(f"[{_SPACELESS}]")
_NO_SPACE_NEEDED = re.compile(rf"(?<=[{_SPACELESS}])\n(?=[{_SPACELESS}])")
_LONGEST_WORD = 100
MAX_WORDS = 130
WORD_CHARACTERS = 7
"""So many characters count as a word where no spaces part words: 130 words are about 900 characters, as in English."""


class _Block(NamedTuple):
    """The lines of a paragraph. `alone`: it is an item of a list, a row of a table or a line of code, and keeps its own line."""

    lines: list[str]
    alone: bool


def chunk(documents: Iterable[Document], *, max_words: int = MAX_WORDS) -> list[Passage]:
    """Passages of at most `max_words` words (a longer sentence is cut at words, or at characters), never across a heading."""
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


def _sections(text: str) -> Iterator[tuple[str, list[_Block]]]:
    """(heading, paragraphs) in order; text before the first heading has the heading ''."""
    heading, blocks, open_ = "", [], False  # type: str, list[_Block], bool
    for line, code in lines_of(text.replace("\r\n", "\n")):
        words = line.strip()
        row = words.startswith("|") and not code
        if match := None if code else _HEADING.match(line):
            if blocks:
                yield heading, blocks
            heading, blocks, open_ = match[1], [], False
        elif not words or (not code and _is_rule(words)):
            open_ = False
        elif (alone := code or row or _begins_item(words, blocks[-1] if open_ else None)) or not open_:
            blocks.append(_Block([words], alone))
            open_ = not (code or row)
        else:
            blocks[-1].lines.append(words)
    if blocks:
        yield heading, blocks


def _is_rule(line: str) -> bool:
    """Whether it is the line below a table's head, `|---|:-:|`."""
    return "|" in line and not line.strip("|:- \t")


def _begins_item(line: str, before: _Block | None) -> bool:
    """Whether a list's item begins here. In the midst of a paragraph a number that is not 1 is one that a line happens to begin with."""
    match = _ITEM.match(line)
    return bool(match and (not match[1] or before is None or before.alone or int(match[1]) == 1))


def _pack(blocks: list[_Block], max_words: int) -> Iterator[str]:
    """Fill passages with whole sentences, evenly: a section of 140 words becomes two of about 70, not 130 and 10."""
    pieces = [(gap, piece, sum(map(_size, piece.split()))) for gap, piece in _pieces(blocks, max_words)]
    total = sum(size for _, _, size in pieces)
    target = total / max(1, -(-total // max_words))
    batch, size = "", 0
    for gap, piece, n in pieces:
        if batch and (size + n > max_words or size >= target):
            yield batch
            batch, size = "", 0
        batch += gap + piece if batch else piece
        size += n
    if batch:
        yield batch


def _pieces(blocks: list[_Block], max_words: int) -> Iterator[tuple[str, str]]:
    """The sentences, cut where they are too long, each after what stands between it and the one before."""
    alone = False
    for block in blocks:
        before = ""
        for piece in (piece for sentence in sentences(_joined(*block.lines)) for piece in _cut(sentence, max_words)):
            if before:
                gap = "" if _joined(before[-1], piece[0]) == before[-1] + piece[0] else " "
            else:
                gap = "\n" if block.alone or alone else " "
            yield gap, piece
            before = piece
        alone = block.alone


def _joined(*lines: str) -> str:
    return _NO_SPACE_NEEDED.sub("", "\n".join(lines)).replace("\n", " ")


def _cut(sentence: str, max_words: int) -> Iterator[str]:
    batch: list[str] = []
    size = 0
    for token in _tokens(sentence, max_words):
        n = _size(token)
        if batch and size + n > max_words:
            yield " ".join(batch)
            batch, size = [], 0
        batch.append(token)
        size += n
    if batch:
        yield " ".join(batch)


def _tokens(sentence: str, max_words: int) -> Iterator[str]:
    """Its words; what has no spaces is cut at characters where it is longer than a passage."""
    for token in sentence.split():
        longest = len(token) if _size(token) <= max_words else max_words * WORD_CHARACTERS
        yield from (token[at : at + longest] for at in range(0, len(token), longest))


def _size(token: str) -> int:
    """How many words it counts as."""
    return -(-len(token) // WORD_CHARACTERS) if len(token) > _LONGEST_WORD or _WITHOUT_SPACES.search(token) else 1
