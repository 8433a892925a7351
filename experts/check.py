"""What is wrong with an expert's own files: examples that belong to others too, near-duplicates, dead references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.errors import DocumentError, InputError
from core.types import OUT_OF_SCOPE
from experts.discovery import Expert, out_of_scope
from retrieval.encoder import Encoder, Vectors
from retrieval.loaders import Document, corpus_files, load_file
from retrieval.text import contains_key

CHUNK = 512
COLLISION_AT = 0.9
DUPLICATE_AT = 0.95
MAX_DUPLICATE_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Pair:
    """An utterance and one that is too near. `label`: whose the other is; `similarity`: their cosine, in [-1, 1]."""

    text: str
    other: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class DeadReference:
    """A question whose document does not exist, or does not hold its key."""

    question: str
    document: str
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `spanning`: utterances that stand in another expert's file too. The share of near-duplicates is in [0, 1]."""

    expert: str
    documents: int
    questions: int
    utterances: int
    spanning: int
    collisions: list[Pair]
    near_duplicates: list[Pair]
    dead_references: list[DeadReference]
    unreadable: list[str]
    without_source: list[str]

    @property
    def near_duplicate_share(self) -> float:
        """Utterances that come too near an earlier one, of all."""
        return len(self.near_duplicates) / self.utterances if self.utterances else 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing must be mended: collisions and missing sources are for a person to judge."""
        return not self.dead_references and not self.unreadable and self.near_duplicate_share <= MAX_DUPLICATE_SHARE

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "near_duplicate_share": round(self.near_duplicate_share, 4), "ok": self.ok}


def check(expert: Expert, experts: Mapping[str, Expert], encoder: Encoder) -> Report:
    """Check one expert against its documents, the other experts and the out-of-scope bank.

    Raises DocumentError for a CSV file that cannot be read.
    """
    documents, unreadable = _read(expert)
    questions, utterances = expert.questions(), expert.utterances()
    others = [(text, e.name) for e in experts.values() if e.name != expert.name for text in e.utterances()]
    # What belongs to two experts stands in both files, word for word: that is no accident.
    spanning = set(utterances) & {text for text, _ in others}
    others = [(text, label) for text, label in others if text not in spanning]
    others += [(text, OUT_OF_SCOPE) for text in out_of_scope(expert.folder.parent)]
    return Report(
        expert=expert.name,
        documents=len(documents),
        questions=len(questions),
        utterances=len(utterances),
        spanning=len(spanning),
        collisions=_collisions([text for text in utterances if text not in spanning], others, encoder),
        near_duplicates=_near_duplicates(utterances, expert.name, encoder),
        dead_references=[
            DeadReference(item.question, item.document, problem)
            for item in questions
            if (problem := _problem(item.key, documents.get(item.document)))
        ],
        unreadable=unreadable,
        without_source=[name for name, document in documents.items() if not document.source.strip()],
    )


def _read(expert: Expert) -> tuple[dict[str, Document], list[str]]:
    """The documents by id, and a line for each file that cannot be read."""
    documents: dict[str, Document] = {}
    unreadable = []
    for path in corpus_files(expert.corpus):
        try:
            for document in load_file(path, expert.corpus):
                documents[document.id] = document
        except DocumentError as error:
            unreadable.append(str(error))
    return documents, unreadable


def _problem(key: str, document: Document | None) -> str | None:
    if document is None:
        return "no such document"
    return None if contains_key(document.text, key) else f"the document does not hold the key {key!r}"


def _collisions(utterances: Sequence[str], others: Sequence[tuple[str, str]], encoder: Encoder) -> list[Pair]:
    if not utterances or not others:
        return []  # those of others are many: they are not encoded for nothing
    vectors, elsewhere = encoder.encode(utterances), encoder.encode([text for text, _ in others])
    nearest = zip(utterances, _nearest(vectors, elsewhere), strict=True)
    return _above(COLLISION_AT, (Pair(text, *others[n], round(cosine, 4)) for text, (n, cosine) in nearest))


def _near_duplicates(utterances: Sequence[str], label: str, encoder: Encoder) -> list[Pair]:
    nearest = zip(utterances, _nearest(encoder.encode(utterances)), strict=True)
    return _above(DUPLICATE_AT, (Pair(text, utterances[n], label, round(cosine, 4)) for text, (n, cosine) in nearest))


def _nearest(vectors: Vectors, others: Vectors | None = None) -> Iterator[tuple[int, float]]:
    """For each vector, the row of the nearest of `others`, by default of those before it, and their cosine; -1 before the first."""
    for start in range(0, len(vectors), CHUNK):
        chunk = vectors[start : start + CHUNK]
        if others is None:
            cosines = chunk @ vectors[: start + len(chunk)].T
            cosines[np.arange(cosines.shape[1]) >= start + np.arange(len(chunk))[:, None]] = -1.0
        else:
            cosines = chunk @ others.T
        best = cosines.argmax(axis=1)
        yield from zip(best.tolist(), cosines[np.arange(len(chunk)), best].tolist(), strict=True)


def _above(threshold: float, pairs: Iterable[Pair]) -> list[Pair]:
    return sorted((p for p in pairs if p.similarity > threshold), key=lambda p: -p.similarity)


def check_questions(experts: Iterable[Expert], split: str, least: int) -> None:
    """Raises InputError when all experts together have fewer than `least` different questions in the split."""
    found = {item.question for expert in experts for item in expert.questions(split)}
    if len(found) < least:
        raise InputError(
            f"Expected {least} or more different questions with the split `{split}` in the experts' questions.csv; found {len(found)}. "
            "Add some."
        )
