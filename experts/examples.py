"""Labelled examples for the routers: utterances and questions of every expert, and the out-of-scope bank."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from core.errors import DocumentError
from core.types import OUT_OF_SCOPE
from experts.discovery import Expert, out_of_scope
from retrieval.chunking import chunk
from retrieval.loaders import Document, corpus_files, load_file

Examples = tuple[list[str], list[str]]
"""(texts, labels), of equal length"""

MAX_TITLES = 300


def router_examples(experts: dict[str, Expert], folder: Path) -> Examples:
    """What the routers learn from: `train` utterances and questions, and the `train` part of the out-of-scope bank.

    An utterance that stands in the files of two experts belongs to both: that is how a router learns which questions span them.
    """
    rows = [(text, e.name) for e in experts.values() for text in _texts(e)]
    known = {text for text, _ in rows}
    rows += [(text, OUT_OF_SCOPE) for text in out_of_scope(folder, "train") if text not in known]
    return [t for t, _ in rows], [label for _, label in rows]


def held_out_examples(experts: dict[str, Expert], folder: Path, *splits: str) -> Examples:
    """Utterances of the named splits with their labels, out-of-scope ones included."""
    rows = [(text, e.name) for e in experts.values() for text in e.utterances(*splits)]
    rows += [(text, OUT_OF_SCOPE) for text in out_of_scope(folder, *splits)]
    return [t for t, _ in rows], [label for _, label in rows]


def example_files(experts: dict[str, Expert], folder: Path) -> list[Path]:
    """The files that `router_examples` reads."""
    files = [folder / "out_of_scope.csv"]
    for e in experts.values():
        files += [e.folder / "utterances.csv", e.folder / "questions.csv"]
        files += [] if _asked(e) else [e.folder / "expert.toml", *corpus_files(e.corpus)]
    return _readable(files)


def router_files(experts: dict[str, Expert], folder: Path) -> list[Path]:
    """The files that a router depends on which looks at the documents too."""
    files = [folder / "out_of_scope.csv"]
    for e in experts.values():
        files += [e.folder / "utterances.csv", *e.depends_on()]
        files += [] if _asked(e) else [e.folder / "expert.toml"]
    return _readable(files)


def _readable(files: list[Path]) -> list[Path]:
    """Those that are there and may be read: one that may not must not keep the other experts from being asked."""
    return [f for f in files if os.access(f, os.R_OK)]


def _asked(expert: Expert) -> list[str]:
    return [*expert.utterances("train"), *(item.question for item in expert.questions("train"))]


def _texts(expert: Expert) -> list[str]:
    """An expert without utterances and questions lends the titles of its documents, or where none can be read, what its card says.

    What is wrong with a document is said when that expert is asked: the others need not wait for it.
    """
    if asked := _asked(expert):
        return asked
    titles = dict.fromkeys(p.title for p in chunk(_documents(expert.corpus)) if p.title)
    said = (expert.card.title, expert.card.description)
    return list(titles)[:MAX_TITLES] or [text for text in said if text.strip()] or [expert.name]


def _documents(folder: Path) -> list[Document]:
    """Those of the files that can be read."""
    found: list[Document] = []
    for path in corpus_files(folder):
        with suppress(DocumentError):
            found += load_file(path, folder)
    return found
