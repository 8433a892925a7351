"""The suite `answers` on the experts' own questions: is the fact there, from the right document, and cited.

Each `test` question goes through the whole graph, the expert chosen by the router. For files see `evaluation.squad`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import numpy as np

from core.errors import InputError
from core.types import Answer, Hit, Outcome
from evaluation import rubric
from evaluation.marking import Marked, citing, facts
from evaluation.metrics import ece, reliability
from evaluation.results import Progress, Report, Result, average, result, silent
from experts.discovery import Item
from graph.api import forget, run
from graph.citations import claims, support
from graph.services import Services
from graph.state import Context
from retrieval.text import contains_key, sentences

SYSTEM, BASELINE, READER = "switchyard", "first-sentence", "local:reader"
READ = 5
_GIVEN = frozenset({Outcome.ANSWERED, Outcome.ESCALATED})


def evaluate(
    services: Services,
    command: str,
    *,
    judge: str | None = None,
    progress: Progress = silent,
) -> Report:
    """Mark the answers; `judge`: a chat model that grades them, too. Raises InputError without questions, ModelError."""
    items = [(name, item) for name in services.experts for item in services.expert(name).questions("test")]
    if not items:
        raise InputError("Expected questions with the split `test` in an expert's questions.csv; found none. Or pass --corpus and --qrels.")
    document_of = {p.id: p.document for name in services.experts for p in services.index(name).passages}
    advance, marked, baseline = progress("Answering", len(items)), [], []
    for name, item in items:
        marked.append(_through_graph(services, name, item, document_of))
        baseline.append(_first_sentence(services, name, item))
        advance(1)
    pairs = [(item, m) for (_, item), m in zip(items, marked, strict=True)]
    graded = [rubric.ToGrade(item.question, item.answer, m.text) for item, m in pairs if m.answered]
    grades = rubric.grade(services, judge, graded, progress) if judge else []
    given = [m for m in marked if m.answered]
    confidence, right = np.array([m.confidence for m in given]), np.array([m.key_fact for m in given], bool)
    return Report(
        "answers",
        len(items),
        command,
        ["key_fact", "r@5", "citation_precision", "groundedness"],
        [_graph_result(marked, grades), result(BASELINE, facts(baseline), baseline=True)],
        [_wrong(item, m) for item, m in pairs if not m.key_fact],
        reliability=reliability(confidence, right),
        notes=[rubric.note(judge, grades)] if judge else [],
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
        text = text.removeprefix(f"**{notice.text}**").lstrip()
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
        groundedness=support(text, by_number or answer.passages) if given and text else None,
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


def _graph_result(marked: Sequence[Marked], grades: Sequence[rubric.Grade]) -> Result:
    given = [m for m in marked if m.answered]
    measures = facts(marked) | {
        "right_expert": average([m.right_expert for m in marked]),
        "answered": average([m.answered for m in marked]),
        **citing(marked),
        **(rubric.measures(grades) if grades else {}),
    }
    calibration = ece(np.array([m.confidence for m in given]), np.array([m.key_fact for m in given], bool))
    plain = {"ece": calibration} | (rubric.about(grades) if grades else {})
    return result(SYSTEM, measures, plain=plain, seconds=[m.seconds for m in marked])


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
