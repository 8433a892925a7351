"""What a preparation leaves in its folder: the questions, the places of their answers, and a report for people and for programs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from core.errors import InputError
from core.files import check_writable
from training.prepare.findings import KINDS
from training.prepare.recipe import Prepared
from training.prepare.rows import COLUMNS

QUESTIONS, PLACES, REPORT, PAGE = "questions.csv", "places.jsonl", "report.json", "report.md"
EXAMPLES = 5


def as_dict(prepared: Prepared, command: str) -> dict[str, Any]:
    """report.json: the counts, every finding by kind, and the file and line of each row of questions.csv, in its order."""
    return {
        "command": command,
        "read": prepared.read,
        "written": len(prepared.rows),
        "splits": prepared.splits,
        "located": sum(place is not None for place in prepared.places),
        "notes": prepared.notes,
        "findings": {
            kind: {"done": str(about.done), "meaning": about.meaning, "rows": [asdict(f) for f in prepared.of_kind(kind)]}
            for kind, about in KINDS.items()
        },
        "rows": [row.at for row in prepared.rows],
        "sha256": hashlib.sha256(_questions(prepared).encode()).hexdigest(),
    }


def as_markdown(prepared: Prepared, command: str) -> str:
    """report.md: the counts and the first examples of each kind."""
    splits = ", ".join(f"{n:,} {split}" for split, n in prepared.splits.items())
    lines = ["# Prepared questions", "", f"{prepared.read:,} rows read, {len(prepared.rows):,} written: {splits}.", ""]
    lines += [f"Made by: {_inline(command)}", "", f"{QUESTIONS} holds the rows, {REPORT} lists every finding."]
    lines += [f"\n{_inline(note)}" for note in prepared.notes]
    lines += ["", "| found | rows | what was done |", "|---|---:|---|"]
    lines += [f"| {kind} | {len(prepared.of_kind(kind)):,} | {about.done} |" for kind, about in KINDS.items()]
    for kind, about in KINDS.items():
        if found := prepared.of_kind(kind):
            lines += ["", f"## {kind.capitalize()}: {len(found):,} {about.done}", "", about.meaning, ""]
            lines += [f"- {_inline(str(finding))}" for finding in found[:EXAMPLES]]
            if len(found) > EXAMPLES:
                lines.append(f"- and {len(found) - EXAMPLES:,} more")
    return "\n".join(lines) + "\n"


def check_folder(folder: Path) -> None:
    """Raises InputError where the folder cannot be written, or holds questions other than those that its report describes."""
    check_writable(folder)
    if not (folder / QUESTIONS).exists():
        return
    try:
        known = json.loads((folder / REPORT).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if hashlib.sha256((folder / QUESTIONS).read_bytes()).hexdigest() != known:
        raise InputError(f"{folder / QUESTIONS} was edited, or not made here: it is not overwritten. Choose another folder: --output DIR")


def write(prepared: Prepared, folder: Path, command: str) -> list[Path]:
    """Write the four files into `folder`, each whole or not at all; their paths. Raises InputError; see also `check_folder`."""
    texts = {
        QUESTIONS: _questions(prepared),
        PLACES: _places(prepared),
        PAGE: as_markdown(prepared, command),
        REPORT: json.dumps(as_dict(prepared, command), ensure_ascii=False, indent=1) + "\n",
    }
    check_folder(folder)
    fresh = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(prefix=".new-", dir=folder))
        for name, text in texts.items():
            (fresh / name).write_text(text, encoding="utf-8", newline="")
        for name in texts:
            (fresh / name).replace(folder / name)
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}. Choose another folder: --output DIR") from None
    finally:
        if fresh:
            shutil.rmtree(fresh, ignore_errors=True)
    return [folder / name for name in texts]


def _questions(prepared: Prepared) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *([getattr(row, c) for c in COLUMNS] for row in prepared.rows)])
    return text.getvalue()


def _places(prepared: Prepared) -> str:
    """JSON lines in the form of `eval retrieval --qrels`, with the sentence that holds the answer and how it was found."""
    lines = []
    for row, place in zip(prepared.rows, prepared.places, strict=True):
        if place:
            known = {"qid": row.at, "question": row.question, "passage_id": place.passage.id, "answers": list(row.answers or (row.answer,))}
            lines.append(json.dumps(known | {"sentence": place.sentence, "by": place.how, "split": row.split}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)


def _inline(text: str) -> str:
    """One line that Markdown shows as it is: foreign text must not become markup."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in " ".join(text.split()))
