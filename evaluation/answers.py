"""The suite `answers`: is the fact there, from the right document, and cited.

Without files, each expert's `test` questions go through the whole graph, the expert chosen by the router. With files, the local reader
answers from an index in memory (its fusion weight chosen on the other half of the questions), or from the right passage itself
(`oracle`), and is scored as SQuAD scores.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.types import NO_ANSWER, Answer, Hit, Outcome, Passage
from evaluation.data import Mapped, Query, read_corpus, read_queries
from evaluation.metrics import Rows, ece, exact_match, reliability, token_f1
from evaluation.results import Measure, Progress, Report, Result, average, result, silent
from evaluation.retrieval import ask, index_of, two_fold_weights
from experts.discovery import Item
from graph.api import forget, run
from graph.citations import claims, support
from graph.prompts import grounded
from graph.services import Services
from graph.state import Context
from retrieval.text import contains_key, sentences

SYSTEM, BASELINE, READER = "switchyard", "first-sentence", "local:reader"
READ = 5
_MARKERS = re.compile(r"\s*\[\d+\]")
_GIVEN = frozenset({Outcome.ANSWERED, Outcome.ESCALATED})


@dataclass(frozen=True, slots=True)
class Marked:
    """One question's answer, marked. `found`: the right document is among the first five passages.

    `cited_share`, `groundedness` and `confidence` are in [0, 1]; the first two are None where nothing was answered.
    """

    expert: str
    text: str
    key_fact: bool
    found: bool
    right_expert: bool = True
    answered: bool = True
    right_citations: int = 0
    citations: int = 0
    cited_share: float | None = None
    groundedness: float | None = None
    confidence: float = 0.0
    outcome: str = ""
    seconds: float = 0.0


def evaluate(
    services: Services,
    command: str,
    *,
    corpus: Path | None = None,
    qrels: Path | None = None,
    oracle: bool = False,
    mapping: Mapped | None = None,
    progress: Progress = silent,
) -> Report:
    """Judge the answers. Raises InputError for files that cannot be used, ModelError when no model answers."""
    if corpus and qrels:
        passages = read_corpus(corpus, mapping or {})
        queries = read_queries(qrels, mapping or {}, {p.id for p in passages}, with_answers=True)
        return _squad(services, command, passages, queries, oracle, progress)
    items = [(name, item) for name in services.experts for item in services.expert(name).questions("test")]
    if not items:
        raise InputError("Expected questions with the split `test` in an expert's questions.csv; found none. Or pass --corpus and --qrels.")
    document_of = {p.id: p.document for name in services.experts for p in services.index(name).passages}
    advance, marked, baseline = progress("Answering", len(items)), [], []
    for name, item in items:
        marked.append(_through_graph(services, name, item, document_of))
        baseline.append(_first_sentence(services, name, item))
        advance(1)
    given = [m for m in marked if m.answered]
    confidence, right = np.array([m.confidence for m in given]), np.array([m.key_fact for m in given], bool)
    return Report(
        "answers",
        len(items),
        command,
        ["key_fact", "r@5", "citation_precision", "groundedness"],
        [_graph_result(marked), _baseline_result(baseline)],
        [_wrong(item, m) for (_, item), m in zip(items, marked, strict=True) if not m.key_fact],
        reliability=reliability(confidence, right),
    )


def _through_graph(services: Services, expert: str, item: Item, document_of: dict[str, str]) -> Marked:
    thread, start = uuid.uuid4().hex, time.perf_counter()
    answer = run(item.question, Context(owner="evaluation"), thread, services)
    seconds = time.perf_counter() - start
    # A question of an examination is no turn of a user's: it leaves no trace in threads and runs.
    forget(thread, services)
    return mark(answer, expert, item, document_of, seconds)


def mark(answer: Answer, expert: str, item: Item, document_of: dict[str, str], seconds: float = 0.0) -> Marked:
    """Compare an answer with the question's key fact and document. `document_of`: passage id -> document."""
    text = answer.answer
    for notice in answer.notices:
        text = text.removeprefix(f"**{notice.text}**\n\n")
    given = answer.outcome in _GIVEN
    cited = {c.n: c.passage_id for c in answer.citations}
    hits = {h.passage.id: h for h in answer.passages}
    by_number = [hits[cited[n]] for n in sorted(cited)]
    stated = claims(text)
    return Marked(
        expert,
        text,
        key_fact=given and contains_key(text, item.key),
        found=any(document_of.get(h.passage.id) == item.document for h in answer.passages[:READ]),
        right_expert=expert in answer.route.experts,
        answered=given,
        right_citations=sum(document_of.get(c.passage_id) == item.document for c in answer.citations),
        citations=len(answer.citations),
        cited_share=sum(bool(numbers) for _, numbers in stated) / len(stated) if given and stated else None,
        groundedness=support(text, by_number or answer.passages) if given else None,
        confidence=answer.confidence,
        outcome=str(answer.outcome),
        seconds=seconds,
    )


def _first_sentence(services: Services, expert: str, item: Item) -> Marked:
    """The baseline is given the right expert."""
    hits = services.index(expert).search(item.question, services.encoder.encode([item.question])[0], READ)
    text = first_sentence(hits)
    return Marked(expert, text, contains_key(text, item.key), any(h.passage.document == item.document for h in hits))


def first_sentence(hits: Sequence[Hit]) -> str:
    """That of the top passage; empty when nothing was found."""
    return next((s for hit in hits[:1] for s in sentences(hit.passage.text)), "")


def _graph_result(marked: Sequence[Marked]) -> Result:
    given = [m for m in marked if m.answered]
    numbers = np.array([(m.right_citations, m.citations) for m in marked])

    def precision(rows: Rows) -> float | None:
        right, total = numbers[rows].sum(axis=0)
        return float(right / total) if total else None

    measures = _by_expert(marked) | {
        "right_expert": average([m.right_expert for m in marked]),
        "answered": average([m.answered for m in marked]),
        "citation_precision": Measure(len(marked), precision),
        "citation_recall": average([m.cited_share for m in marked if m.cited_share is not None]),
        "groundedness": average([m.groundedness for m in marked if m.groundedness is not None]),
    }
    calibration = ece(np.array([m.confidence for m in given]), np.array([m.key_fact for m in given], bool))
    return result(SYSTEM, measures, plain={"ece": calibration}, seconds=[m.seconds for m in marked])


def _baseline_result(marked: Sequence[Marked]) -> Result:
    return result(BASELINE, _by_expert(marked), baseline=True)


def _by_expert(marked: Sequence[Marked]) -> dict[str, Measure]:
    measures = {}
    aspects: dict[str, Callable[[Marked], bool]] = {"key_fact": lambda m: m.key_fact, "r@5": lambda m: m.found}
    for metric, of in aspects.items():
        measures[metric] = average([of(m) for m in marked])
        for expert in dict.fromkeys(m.expert for m in marked):
            measures[f"{metric}.{expert}"] = average([of(m) for m in marked if m.expert == expert])
    return measures


def _wrong(item: Item, marked: Marked) -> dict[str, object]:
    return {
        "question": item.question,
        "expert": marked.expert,
        "expected": item.key,
        "document": item.document,
        "document_found": marked.found,
        "outcome": marked.outcome,
        "confidence": marked.confidence,
        "answer": marked.text,
    }


def _squad(
    services: Services, command: str, passages: Sequence[Passage], queries: Sequence[Query], oracle: bool, progress: Progress
) -> Report:
    if oracle:
        by_id = {p.id: p for p in passages}
        evidence = [[Hit(by_id[p], 1.0, 1.0) for p in sorted(q.passages)] for q in queries]
        searched = [0.0] * len(queries)
    else:
        asked = ask(index_of(passages, services.encoder, progress), services.encoder, queries, progress)
        evidence = [a.hits(weight, READ) for a, weight in zip(asked, two_fold_weights(asked), strict=True)]
        searched = [a.seconds for a in asked]
    model, advance = services.model(READER), progress("Reading", len(queries))
    texts, seconds = [], []
    for query, hits, spent in zip(queries, evidence, searched, strict=True):
        start = time.perf_counter()
        text = _MARKERS.sub("", model.invoke(grounded("", query.question, hits, [])).text)
        texts.append("" if text == NO_ANSWER else text)
        seconds.append(spent + time.perf_counter() - start)
        advance(1)
    results = [
        _squad_result(READER, queries, evidence, texts, oracle, seconds),
        _squad_result(BASELINE, queries, evidence, [first_sentence(hits) for hits in evidence], oracle),
    ]
    wrong = [_squad_wrong(q, t) for q, t in zip(queries, texts, strict=True) if not contains_key(t, "|".join(q.answers))]
    return Report("answers", len(queries), command, ["f1", "em", "key_fact"], results, wrong)


def _squad_result(
    name: str,
    queries: Sequence[Query],
    evidence: Sequence[Sequence[Hit]],
    texts: Sequence[str],
    oracle: bool,
    seconds: Sequence[float] = (),
) -> Result:
    pairs = list(zip(texts, queries, strict=True))
    measures = {
        "f1": average([token_f1(text, q.answers) for text, q in pairs]),
        "em": average([exact_match(text, q.answers) for text, q in pairs]),
        "key_fact": average([contains_key(text, "|".join(q.answers)) for text, q in pairs]),
    }
    if not oracle:
        found = [any(hit.passage.id in q.passages for hit in hits) for q, hits in zip(queries, evidence, strict=True)]
        measures["r@5"] = average(found)
    return result(name, measures, seconds=seconds, baseline=name == BASELINE)


def _squad_wrong(query: Query, text: str) -> dict[str, object]:
    return {"question": query.question, "expected": query.answers, "answer": text}
