"""The suite `answers` with files: questions over a corpus, scored as SQuAD scores.

The local reader answers from an index in memory, its fusion weight chosen on the other half of the questions, or from the right passage
itself (`oracle`). `em` and `f1` are of the exact words that the reader finds, as in SQuAD; all else is of the whole answer around them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from core.types import NO_ANSWER, Hit, Passage
from evaluation import rubric
from evaluation.answers import BASELINE, READ, READER, first_sentence
from evaluation.data import Query, read_corpus, read_queries
from evaluation.marking import Marked, citing, facts
from evaluation.metrics import exact_match, token_f1
from evaluation.results import Measure, Progress, Report, average, result, silent
from evaluation.retrieval import ask, index_of, rerank, two_fold_weights
from evaluation.rows import Mapped
from graph.citations import cite, claims, support
from graph.nodes.expert import CANDIDATES
from graph.prompts import grounded
from graph.services import Services
from retrieval.text import contains_key

_MARKERS = re.compile(r"\s*\[\d+\]")
Evidence = tuple[list[Hit], float]
"""The passages that a question is put to, and the seconds it took to find them."""


def evaluate(
    services: Services,
    command: str,
    corpus: Path,
    qrels: Path,
    *,
    oracle: bool = False,
    candidates: int = CANDIDATES,
    judge: str | None = None,
    mapping: Mapped | None = None,
    progress: Progress = silent,
) -> Report:
    """Mark the answers; `judge`: a chat model that grades them, too. Raises InputError for files that cannot be used, ModelError."""
    passages = read_corpus(corpus, mapping or {})
    queries = read_queries(qrels, mapping or {}, {p.id for p in passages}, with_answers=True)
    evidence = _right(passages, queries) if oracle else _found(services, passages, queries, candidates, progress)
    advance, words, marked, baseline = progress("Reading", len(queries)), [], [], []
    for query, (hits, seconds) in zip(queries, evidence, strict=True):
        marked.append(_read(services, query, hits, seconds))
        found = services.reader.find(query.question, hits)
        words.append(found[1].text if found else "")
        baseline.append(_mark(query, hits, first_sentence(hits)))
        advance(1)
    pairs = list(zip(queries, marked, strict=True))
    graded = [rubric.ToGrade(q.question, " / ".join(q.answers), m.text) for q, m in pairs if m.answered]
    grades = rubric.grade(services, judge, graded, progress) if judge else []
    measures = _squad(queries, words, marked, oracle) | citing(marked) | {"answered": average([m.answered for m in marked])}
    measures |= rubric.measures(grades) if grades else {}
    plain = rubric.about(grades) if grades else {}
    results = [
        result(READER, measures, plain=plain, seconds=[m.seconds for m in marked]),
        result(BASELINE, _squad(queries, [m.text for m in baseline], baseline, oracle), baseline=True),
    ]
    wrong = [
        {"question": q.question, "expected": q.answers, "words": said, "answer": m.text}
        for said, (q, m) in zip(words, pairs, strict=True)
        if not m.key_fact
    ]
    notes = [rubric.note(judge, grades)] if judge else []
    return Report("answers", len(queries), command, ["f1", "em", "key_fact"], results, wrong, notes=notes)


def _right(passages: Sequence[Passage], queries: Sequence[Query]) -> list[Evidence]:
    by_id = {p.id: p for p in passages}
    return [([Hit(by_id[p], 1.0, 1.0) for p in sorted(q.passages)], 0.0) for q in queries]


def _found(
    services: Services, passages: Sequence[Passage], queries: Sequence[Query], candidates: int, progress: Progress
) -> list[Evidence]:
    asked = ask(index_of(passages, services.encoder, progress), services.encoder, queries, progress)
    return [(r.hits[:READ], r.seconds) for r in rerank(services.reader, asked, two_fold_weights(asked), candidates, progress, tuned=True)]


def _read(services: Services, query: Query, hits: list[Hit], searched: float) -> Marked:
    start = time.perf_counter()
    text = services.model(READER).invoke(grounded("", query.question, hits, [])).text
    seconds = searched + time.perf_counter() - start
    return _mark(query, hits, "" if text == NO_ANSWER else text, seconds)


def _mark(query: Query, hits: list[Hit], text: str, seconds: float = 0.0) -> Marked:
    """`text`: with its markers; empty for no answer."""
    stated, citations, bare = claims(text), cite(text, hits), _MARKERS.sub("", text)
    return Marked(
        expert="",
        text=bare,
        key_fact=contains_key(bare, "|".join(query.answers)),
        found=any(hit.passage.id in query.passages for hit in hits),
        answered=bool(text),
        right_citations=sum(c.passage_id in query.passages for c in citations),
        citations=len(citations),
        cited_share=sum(bool(numbers) for _, numbers in stated) / len(stated) if stated else None,
        groundedness=support(text, hits) if text else None,
        seconds=seconds,
    )


def _squad(queries: Sequence[Query], words: Sequence[str], marked: Sequence[Marked], oracle: bool) -> dict[str, Measure]:
    pairs = [(said, q.answers) for q, said in zip(queries, words, strict=True)]
    measures = {"f1": average([token_f1(*pair) for pair in pairs]), "em": average([exact_match(*pair) for pair in pairs]), **facts(marked)}
    if oracle:
        del measures["r@5"]
    return measures
