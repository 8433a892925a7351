"""Where an answer stands: its passage in the documents, its sentence, and the key fact where that can be taken from both.

A row that names its document is looked up there; any other is searched for with the project's retrieval. An answer is located by its key,
else word for word, else by most of its content words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from core.types import Passage
from retrieval.encoder import Encoder
from retrieval.index import Index, embedded_text
from retrieval.text import STOPWORDS, contains_key, normalise, sentences, terms
from training.prepare.findings import Finding
from training.prepare.rows import Row

SUPPORT = 0.7
SHARED = 0.5
SEARCHED = 10
KEY_WORDS = 6
_FILLERS = frozenset(
    ["about", "almost", "approximately", "around", "at", "least", "most", "named", "nearly", "often", "roughly", "usually"]
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer stands. sentence: word for word in the passage; how: by `key`, `answer` (word for word) or `words`."""

    passage: Passage
    sentence: str
    how: str


class Corpus:
    """The documents that rows are about. The index over them is opened when the first row has to be searched for."""

    def __init__(self, passages: Sequence[Passage], index: Callable[[], Index], encoder: Encoder) -> None:
        self._index = index
        self._encoder = encoder
        self._documents: dict[str, list[Passage]] = {}
        for passage in passages:
            self._documents.setdefault(passage.document, []).append(passage)
        self._of_passage = {passage.id: passage.document for passage in passages}

    @cached_property
    def index(self) -> Index:
        """The search over all documents."""
        return self._index()

    def document(self, name: str) -> str | None:
        """The document of that name, path or passage; None where there is none."""
        plain = re.sub(r"\.\w+$", "", name)
        known = (name, self._of_passage.get(name), plain, plain.removeprefix("corpus/"))
        return next((found for found in known if found in self._documents), None)

    def in_document(self, row: Row, document: str) -> Place | None:
        """Where the row's answer stands in one document."""
        return _best(row, self._documents[document], strict=False)

    def search(self, row: Row) -> Place | None:
        """Where the row's answer stands in any of them, as far as the search finds it."""
        asked = f"{row.question} {row.answer}"
        hits = self.index.search(asked, self._encoder.encode([asked])[0], SEARCHED)
        found = [place for hit in hits if (place := _best(row, [hit.passage], strict=True))]
        return min(found, key=lambda place: place.how == "words", default=None)  # the first that has it word for word, else the first


def locate(row: Row, corpus: Corpus) -> tuple[Row, Place | None, list[Finding]]:
    """The row with its document and key where they were missing and could be found, the place of its answer, and what was found."""
    document = corpus.document(row.document) if row.document else None
    if row.document:
        place = corpus.in_document(row, document) if document else None
        found = [] if document == row.document else [_finding("document", row, f"{row.document} became {document}")]
    else:
        place = corpus.search(row)
        found = [_finding("document", row, f'{place.passage.document}: "{place.sentence}"')] if place else []
    if place is None:
        return row, None, [_unlocated(row, document, corpus), *key_faults(row)]
    keyed, judged = _keyed(replace(row, document=place.passage.document), place)
    return keyed, place, [*found, *judged]


def _unlocated(row: Row, document: str | None, corpus: Corpus) -> Finding:
    if not row.document:
        return _finding("not located", row, "no document was found that holds the answer")
    elsewhere = corpus.search(row)
    hint = f"; it seems to stand in {elsewhere.passage.document}" if elsewhere else ""
    what = f"the key {row.key!r}" if row.key else "the answer"
    missing = f"{document} does not hold {what}" if document else f"there is no document {row.document!r} to hold {what}"
    return _finding("not located", row, f"{missing}{hint}")


def _keyed(row: Row, place: Place) -> tuple[Row, list[Finding]]:
    """Judge the row's key, or propose one."""
    if not row.key:
        key = proposed_key(row, place.passage)
        if not key:
            return row, [_finding("no key", row, "what to look for in the answer is not plain")]
        return replace(row, key=key), [_finding("key", row, f'{key} (from "{row.answer}")')]
    return row, key_faults(row)


def key_faults(row: Row) -> list[Finding]:
    """What is wrong with the row's key, wherever its answer stands; nothing where it has none."""
    found = []
    if row.key and not contains_key(row.answer, row.key):
        found.append(_finding("key not in answer", row, f'{row.key}, and the answer is "{row.answer}"'))
    if row.key and contains_key(row.question, row.key):
        found.append(_finding("key in question", row, row.key))
    return found


def proposed_key(row: Row, passage: Passage) -> str:
    """The fact to look for in an answer, or "" where none can be taken with some certainty.

    It is what the answer adds to the question, where that is one run of at most KEY_WORDS words which stands in the passage: the question's
    own words, fillers, and stop words at the ends are taken off. What a yes or a no hangs on cannot be taken so. Several answers give
    alternatives.
    """
    said = f" {normalise(embedded_text(passage))} "

    def fits(text: str) -> bool:
        return 0 < len(text.split()) <= KEY_WORDS and f" {text} " in said

    added = [runs[0] for answer in row.answers or (row.answer,) if len(runs := _added(row.question, answer)) == 1 and fits(runs[0])]
    return "|".join(dict.fromkeys(added))


def _added(question: str, answer: str) -> list[str]:
    """Runs of words of the answer that are not the question's, without stop words and fillers at their ends."""
    asked = set(terms(question))
    runs: list[list[str]] = [[]]
    if answer.lower().startswith(("yes", "no,", "no.", "no;", "no ")):
        return []
    for word in normalise(answer).split():
        if word in _FILLERS or asked & set(terms(word)):
            runs.append([])
        elif runs[-1] or word not in STOPWORDS:
            runs[-1].append(word)
    for run in runs:
        while run and run[-1] in STOPWORDS:
            run.pop()
    return [" ".join(run) for run in runs if run]


def _best(row: Row, passages: Sequence[Passage], *, strict: bool) -> Place | None:
    """The passage that holds the answer best, the first of equals. strict: see `_how`."""
    judged = [(passage, _how(row, embedded_text(passage), strict=strict)) for passage in passages]
    found = [(passage, how) for passage, how in judged if how]
    if not found:
        return None
    passage, how = max(found, key=lambda pair: _support(row.answer, embedded_text(pair[0])))
    sentence = max(sentences(passage.text), key=lambda s: (_says(s, row), _support(row.answer, s)))
    return Place(passage, sentence, how)


def _how(row: Row, text: str, *, strict: bool) -> str:
    """How a text holds the answer: `key`, `answer` or `words`; empty where it does not. A row with a key is located by the key alone.

    strict: the text has to share words with question and answer too, since a key like "1997" stands in many.
    """
    if strict and _support(f"{row.question} {row.answer}", text) < SHARED:
        return ""
    if row.key:
        return "key" if contains_key(text, row.key) else ""
    if _says(text, row):
        return "answer"
    return "words" if _support(row.answer, text) >= SUPPORT else ""


def _says(text: str, row: Row) -> bool:
    """Whether the text holds the row's key, or without one an answer, word for word."""
    said = f" {normalise(text)} "
    return contains_key(text, row.key) if row.key else any(f" {normalise(answer)} " in said for answer in row.answers or (row.answer,))


def _support(claim: str, text: str) -> float:
    """Share of the claim's content words that stand in the text, in [0, 1]."""
    claimed = set(terms(claim))
    return len(claimed & set(terms(text))) / max(1, len(claimed))


def _finding(kind: str, row: Row, detail: str) -> Finding:
    return Finding(kind, row.at, row.question, detail)
