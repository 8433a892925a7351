"""What a preparation leaves in its folder: the questions, the places of their answers, and a report for people and for programs."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.files import check_unedited, check_writable, checksums, manifests, write_files
from core.settings import settings
from training.prepare.findings import KINDS
from training.prepare.recipe import Prepared
from training.prepare.rows import COLUMNS

QUESTIONS, PLACES, REPORT, PAGE = "questions.csv", "places.jsonl", "report.json", "report.md"
EXAMPLES = 5


def as_dict(prepared: Prepared, command: str) -> dict[str, Any]:
    """report.json: the counts, every finding by kind, the file and line of each row of questions.csv, in its order, and checksums."""
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
        "sha256": checksums(_contents(prepared, command)),
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
    """Raises InputError where the folder cannot be written, or holds one of the files, but not as its report describes it."""
    check_writable(folder)
    check_unedited(folder, (QUESTIONS, PLACES, PAGE), REPORT)


def write(prepared: Prepared, folder: Path, command: str) -> list[Path]:
    """Write the four files into `folder`, all or none; their paths. Raises InputError; see also `check_folder`."""
    report = json.dumps(as_dict(prepared, command), ensure_ascii=False, indent=1) + "\n"
    files = {**_contents(prepared, command), REPORT: report.encode()}
    check_folder(folder)
    _check_source(folder, prepared)
    try:
        write_files(folder, files)
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}. Choose another folder: --output DIR") from None
    return [folder / name for name in files]


def _check_source(folder: Path, prepared: Prepared) -> None:
    """Raises InputError where the folder in SWITCHYARD_HOME that is named after a file holds what another file of that name says."""
    if folder.parent != settings().home / "prepared":
        return
    for report in manifests(folder / REPORT):
        with suppress(KeyError, TypeError, AttributeError):
            before = [at.rpartition(":")[0] for at in report["rows"]]
            now = {Path(row.at.rpartition(":")[0]).resolve() for row in prepared.rows}
            if before and not now & {Path(name).resolve() for name in before}:
                raise InputError(f"{folder} holds the questions of {before[0]}: it is not overwritten. Choose another folder: --output DIR")


def _contents(prepared: Prepared, command: str) -> dict[str, bytes]:
    """All but the report, which has their checksums."""
    texts = {QUESTIONS: _questions(prepared), PLACES: _places(prepared), PAGE: as_markdown(prepared, command)}
    return {name: text.encode() for name, text in texts.items()}


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
