"""Labelled examples for the routers: utterances and questions of every expert, and the out-of-scope bank."""

from __future__ import annotations

from pathlib import Path

from core.types import OUT_OF_SCOPE
from experts.discovery import Expert, out_of_scope
from retrieval.chunking import chunk
from retrieval.loaders import corpus_files, load_folder

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
        asked = [e.folder / "utterances.csv", e.folder / "questions.csv"]
        files += asked if any(f.exists() for f in asked) else corpus_files(e.corpus)
    return [f for f in files if f.exists()]


def router_files(experts: dict[str, Expert], folder: Path) -> list[Path]:
    """The files that a router depends on which looks at the documents too."""
    files = [folder / "out_of_scope.csv"]
    for e in experts.values():
        files += [e.folder / "utterances.csv", *e.depends_on()]
    return [f for f in files if f.exists()]


def _texts(expert: Expert) -> list[str]:
    """An expert without utterances and questions lends the titles of its documents."""
    if asked := [*expert.utterances("train"), *(item.question for item in expert.questions("train"))]:
        return asked
    return list(dict.fromkeys(p.title for p in chunk(load_folder(expert.corpus)) if p.title))[:MAX_TITLES]
