"""The suite `conversation`: scripted dialogues, and messages that are too vague to be answered.

A line is {"turns": [...], "expert", "documents": [...]} with "split" and "kind": is the last turn answered by that expert, and does one of
the documents stand among those that are cited or in the first five passages? With "outcome": "clarify" in the place of expert and documents
the last turn must be asked back about. The experts' own questions must not be.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.types import Answer, Outcome
from evaluation.results import Measure, Progress, Report, average, result, silent
from evaluation.rows import read_lines, row_of
from graph.api import forget, run
from graph.clarifying import is_vague
from graph.nodes.route import scored
from graph.services import Services
from graph.state import Context

FILE = "dialogues.jsonl"
"""Beside the experts."""
SYSTEM, BASELINE = "switchyard", "each-turn-alone"
READ = 5
FORM = '{"turns": [...], "expert", "documents": [...]}'


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is said, and what the last turn should lead to. `documents`: any of them will do."""

    turns: list[str]
    kind: str
    expert: str | None
    documents: list[str]
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Outturn:
    """How the last turn ended. `expert`: exactly the right one was asked; `cited`, `found`: a right document, cited or read."""

    expert: bool
    cited: bool
    found: bool
    clarified: bool
    answer: Answer
    seconds: float

    @property
    def right(self) -> bool:
        """The right expert and the right document."""
        return self.expert and (self.cited or self.found)


def evaluate(services: Services, command: str, file: Path | None = None, *, split: str = "test", progress: Progress = silent) -> Report:
    """Play the dialogues of a split. Raises InputError for a file that cannot be read or holds none, ModelError."""
    path = file or services.settings.experts_dir / FILE
    rows = read_dialogues(path, split)
    asked, vague = [d for d in rows if d.outcome is None], [d for d in rows if d.outcome]
    if not asked:
        raise InputError(f"{path}: expected at least one dialogue {FORM} with the split {split}; found none.")
    questions = [item.question for expert in services.experts.values() for item in expert.questions(split)]
    advance = progress("Talking", len(asked) + len(vague))
    document_of = {p.id: p.document for name in services.experts for p in services.index(name).passages}
    played = [_played(services, d, d.turns, document_of, advance) for d in asked]
    alone = [_played(services, d, d.turns[-1:], document_of, lambda _: None) for d in asked]
    back = [_played(services, d, d.turns, document_of, advance) for d in vague]
    wrongly = [is_vague(services, q, scored(services, q, None)[1]) for q in questions]
    measures = _measures(asked, played) | ({"clarified": average([o.clarified for o in back])} if back else {})
    measures |= {"clarified_wrongly": average(wrongly)} if questions else {}
    return Report(
        "conversation",
        len(rows),
        command,
        ["right", "expert", "document"],
        [
            result(SYSTEM, measures, seconds=[o.seconds for o in played]),
            result(BASELINE, _measures(asked, alone), seconds=[o.seconds for o in alone], baseline=True),
        ],
        [_wrong(d, o) for d, o in zip(asked, played, strict=True) if not o.right]
        + [_wrong(d, o) for d, o in zip(vague, back, strict=True) if not o.clarified],
    )


def read_dialogues(path: Path, split: str) -> list[Dialogue]:
    """The rows of a split. Raises InputError with the line of one that cannot be used."""
    rows = (row_of(path, n, line, {}, FORM) for n, line in read_lines(path))
    return [_dialogue(path, row.fields) for row in rows if row.fields.get("split", "test") == split]


def _dialogue(path: Path, fields: dict[str, Any]) -> Dialogue:
    turns, documents, outcome = fields.get("turns"), fields.get("documents", []), fields.get("outcome")
    fits = (
        isinstance(turns, list) and turns and isinstance(documents, list) and (outcome is not None or (fields.get("expert") and documents))
    )
    if not fits:
        raise InputError(f"{path}: expected lines {FORM}; got {str(fields)[:80]}.")
    return Dialogue([str(t) for t in turns or []], str(fields.get("kind", "")), fields.get("expert"), [str(d) for d in documents], outcome)


def _played(
    services: Services, dialogue: Dialogue, turns: Sequence[str], document_of: dict[str, str], advance: Callable[[int], None]
) -> Outturn:
    thread, start = uuid.uuid4().hex, 0.0
    try:
        for turn in turns:
            start = time.perf_counter()
            answer = run(turn, Context(owner="evaluation"), thread, services)
    finally:
        forget(thread, services)  # an examination leaves no trace in threads and runs
    seconds = time.perf_counter() - start
    advance(1)
    cited = {document_of.get(c.passage_id) for c in answer.citations}
    found = {document_of.get(hit.passage.id) for hit in answer.passages[:READ]}
    return Outturn(
        answer.expert == dialogue.expert,
        not cited.isdisjoint(dialogue.documents),
        not found.isdisjoint(dialogue.documents),
        answer.outcome is Outcome.CLARIFY,
        answer,
        seconds,
    )


def _measures(asked: Sequence[Dialogue], outturns: Sequence[Outturn]) -> dict[str, Measure]:
    measures = {
        "right": average([o.right for o in outturns]),
        "expert": average([o.expert for o in outturns]),
        "document": average([o.cited or o.found for o in outturns]),
        "cited": average([o.cited for o in outturns]),
    }
    for kind in dict.fromkeys(d.kind for d in asked if d.kind):
        measures[f"right.{kind}"] = average([o.right for d, o in zip(asked, outturns, strict=True) if d.kind == kind])
    return measures


def _wrong(dialogue: Dialogue, outturn: Outturn) -> dict[str, Any]:
    return {
        "question": " / ".join(dialogue.turns),
        "kind": dialogue.kind,
        "expected": dialogue.outcome or f"{dialogue.expert}: {', '.join(dialogue.documents)}",
        "outcome": str(outturn.answer.outcome),
        "expert": outturn.answer.expert,
        "answer": outturn.answer.answer,
    }
