"""What the encoder learns from: the experts' `train` questions, and a user's questions over a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.types import Passage
from evaluation.data import Query, read_corpus, read_queries
from evaluation.results import Progress
from evaluation.retrieval import index_of
from evaluation.rows import Mapped
from graph.services import Services
from retrieval.text import normalise
from training.reader.data import Example, of_expert, of_files

HELD_OUT = 10
"""Where no file of held-out questions is given, one of so many passages is held out, with its questions."""


@dataclass(frozen=True, slots=True)
class Files:
    """A user's corpus, the questions to learn from, and those that are held out."""

    passages: list[Passage]
    train: list[Query]
    held_out: list[Query]


def read_files(corpus: Path, qrels: Path, held_out: Path | None, mapping: Mapped, seed: int) -> Files:
    """No question stands on both sides, however it is written. Raises InputError."""
    passages = read_corpus(corpus, mapping)
    known = {p.id for p in passages}
    queries = read_queries(qrels, mapping, known, with_answers=True)
    judged = read_queries(held_out, mapping, known, with_answers=True) if held_out else _drawn(queries, seed)
    kept = {normalise(q.question) for q in judged}
    train = [q for q in queries if normalise(q.question) not in kept]
    if not train or not judged:
        raise InputError(
            f"{qrels}: expected questions to learn from and to hold out; got {len(train)} and {len(judged)}. Add --held-out FILE."
        )
    return Files(passages, train, judged)


def _drawn(queries: Sequence[Query], seed: int) -> list[Query]:
    """Questions of the passages that are held out: those of one passage stay together."""
    passages = sorted({p for q in queries for p in q.passages})
    chosen = {passages[n] for n in np.random.default_rng(seed).permutation(len(passages))[: -(-len(passages) // HELD_OUT)]}
    return [q for q in queries if q.passages & chosen]


def examples(services: Services, files: Files | None, progress: Progress) -> list[Example]:
    """Questions with a passage that answers each and wrong ones, mined with the encoder in use. Raises InputError without any."""
    found = []
    for name, expert in services.experts.items():
        advance = progress(f"Mining {name}", len(expert.questions("train")))
        found += of_expert(expert, services.index(name), services.encoder, "train", advance)
    if files:
        index = index_of(files.passages, services.encoder, progress)
        found += of_files(index, services.encoder, files.train, progress("Mining the files", len(files.train)))
    if not found:
        raise InputError(
            "Expected questions with the split `train` in an expert's questions.csv; found none. Or pass --corpus and --qrels."
        )
    return found
