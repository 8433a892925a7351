"""What the reader learns from: questions, each with a passage that answers it, where the answer stands, and passages that do not answer it.

The wrong passages are mined from the project's own retrieval: what it finds for the question and does not hold the answer is the very
thing the reader must turn down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.types import Passage
from evaluation.data import Query, read_corpus, read_queries
from evaluation.results import Progress
from experts.discovery import Expert, Item
from retrieval.encoder import Encoder
from retrieval.fusion import fuse
from retrieval.index import Index
from retrieval.text import contains_key, locate_key, normalise, sentences, terms
from training.prepare.duplicates import near_duplicates
from training.prepare.rows import Row

MINED = 30
SHORTEST = 6
"""A sentence of fewer words says too little to be searched for."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question, the passage that answers it, the answer's places in that passage's text (characters), and passages that do not answer.

    `wrong`: the hardest first. `spans`: empty where the answer's place is not known.
    """

    question: str
    right: Passage
    spans: tuple[tuple[int, int], ...]
    wrong: tuple[Passage, ...]


def of_expert(
    expert: Expert, index: Index, encoder: Encoder, split: str, progress: Callable[[int], None] = lambda _: None
) -> list[Example]:
    """The expert's questions of `split` whose key stands in a passage of their document."""
    found = []
    for item in expert.questions(split):
        candidates = [p for p in index.passages if p.document == item.document and contains_key(p.text, item.key)]
        if candidates:
            right = max(candidates, key=lambda p: _shared(p.text, item))
            wrong = _mined(index, encoder, item.question, item.key, {p.id for p in candidates})
            found.append(Example(item.question, right, _places(right.text, item.key, item), wrong))
        progress(1)
    return found


def of_files(index: Index, encoder: Encoder, queries: Sequence[Query], progress: Callable[[int], None] = lambda _: None) -> list[Example]:
    """Questions over a corpus, each with the passages that answer it and the answers' wording."""
    by_id = {p.id: p for p in index.passages}
    found = []
    for query in queries:
        key = "|".join(query.answers)
        right = by_id[min(query.passages)]
        wrong = _mined(index, encoder, query.question, key, query.passages)
        found.append(Example(query.question, right, tuple(locate_key(right.text, key)), wrong))
        progress(1)
    return found


def cloze(index: Index, encoder: Encoder, seed: int, progress: Callable[[int], None] = lambda _: None) -> list[Example]:
    """From text without questions: a sentence asks for the passage it was taken out of (inverse cloze, Lee et al. 2019)."""
    rng, found = np.random.default_rng(seed), []
    for passage in index.passages:
        split = [s for s in sentences(passage.text) if len(s.split()) >= SHORTEST]
        if len(split) > 1:
            asked = split[int(rng.integers(len(split)))]
            rest = Passage(passage.id, passage.title, passage.text.replace(asked, " "), passage.source, passage.document)
            found.append(Example(asked, rest, (), _mined(index, encoder, asked, "", {passage.id})))
        progress(1)
    return found


def without_leaks(train: Sequence[Example], held_out: Sequence[Example], encoder: Encoder, progress: Progress) -> list[Example]:
    """Training examples whose question no held-out one repeats, be it in other words: the held-out numbers would flatter."""
    rows = [
        Row(str(n), e.question, e.right.text[slice(*e.spans[0])] if e.spans else "", split=split)
        for split, examples in (("train", train), ("dev", held_out))
        for n, e in enumerate(examples)
    ]
    leaked = {pair.first for pair in near_duplicates(rows, encoder, progress) if pair.first < len(train) <= pair.second}
    return [e for n, e in enumerate(train) if n not in leaked]


def read_text(path: Path) -> list[Passage]:
    """Text without questions, in the form of a corpus. Raises InputError."""
    return read_corpus(path, None)


def read_files(corpus: Path, qrels: Path, split: str) -> tuple[list[Passage], list[Query]]:
    """A corpus and its questions in the forms of the evaluation, without those that name another split. Raises InputError."""
    passages = read_corpus(corpus, None)
    return passages, read_queries(qrels, None, {p.id for p in passages}, with_answers=True, split=split)


def _mined(index: Index, encoder: Encoder, question: str, key: str, right: set[str] | frozenset[str]) -> tuple[Passage, ...]:
    ids, _, dense, lexical, _ = index.candidates(question, encoder.encode([question])[0])
    order = np.argsort(-fuse(dense, lexical, index.manifest.dense_weight), kind="stable")[:MINED]
    found = (index.passages[int(ids[i])] for i in order)
    return tuple(p for p in found if p.id not in right and not (key and contains_key(p.text, key)))


def _places(text: str, key: str, item: Item) -> tuple[tuple[int, int], ...]:
    """Where the key stands; of several places those in the sentence that is most like the reference answer."""
    places = locate_key(text, key)
    if len(places) < 2:
        return tuple(places)
    best: tuple[int, list[tuple[int, int]]] = (-1, [])
    for sentence in sentences(text):
        start = text.index(sentence)
        inside = [(a, b) for a, b in places if start <= a and b <= start + len(sentence)]
        if inside and (shared := _shared(sentence, item)) > best[0]:
            best = shared, inside
    return tuple(best[1] or places)


def _shared(text: str, item: Item) -> int:
    return len(set(terms(text)) & {*terms(item.answer), *terms(item.question), *normalise(item.key).split()})
