"""What the suites of `switchyard eval` share: options, the command that repeats a run, and how their reports are handed over."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import InputError
from ui.console import OUT

if TYPE_CHECKING:
    from evaluation.results import Report

Corpus = Annotated[Path | None, typer.Option(help='Passages, JSON lines {"_id", "title", "text"}.')]
Qrels = Annotated[
    Path | None, typer.Option(help='Questions, JSON lines {"qid", "question", "passage_id"} and, where answers are judged, "answers".')
]
Train = Annotated[Path | None, typer.Option(help="Fit on this file, of the same form, instead of by cross-validation.")]
Candidates = Annotated[
    int | None,
    typer.Option(
        min=1, help="So many of the passages that are found go to the reader, who puts the best ones first; what is served by default."
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="OURS=THEIRS", help="Rename a field of your files, or fetch one from inside: a.b; may be repeated."),
]
Group = Annotated[str | None, typer.Option(metavar="COLUMN", help="Rows of one value of it are never fitted on and judged both.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, every wrong item included.")]


def _check_folder(folder: Path | None) -> Path | None:
    """Before anything is measured. Raises InputError where no report can be written there."""
    if folder:
        from evaluation.report import check_folder

        check_folder(folder)
    return folder


Folder = Annotated[
    Path | None,
    typer.Option("--report", metavar="DIR", callback=_check_folder, help="Also write report.json, report.html and the plots there."),
]


def command_line(suite: str, file: Path | None = None, *options: tuple[str, Path | str | None], maps: Sequence[str] | None = None) -> str:
    """What to type for the same numbers."""
    words = ["switchyard", "eval", suite, *([str(file)] if file else [])]
    words += [word for name, value in options if value for word in (name, str(value))]
    words += [word for pair in maps or [] for word in ("--map", pair)]
    return shlex.join(words)


def kinds(listed: str | None) -> list[str]:
    """Of routers or recommenders, from their list with commas."""
    return [kind.strip() for kind in listed.split(",")] if listed else []


def check_pair(corpus: Path | None, qrels: Path | None) -> None:
    """Raises InputError where one of the two files is missing."""
    if bool(corpus) != bool(qrels):
        raise InputError(f"Expected --corpus and --qrels together; got only {'--corpus' if corpus else '--qrels'}.")


def hand_over(reports: Sequence[Report], as_json: bool, folder: Path | None) -> None:
    """Print the reports, as one JSON document if wanted, and write them to the folder."""
    from evaluation import report

    try:
        if as_json:
            print(report.as_json(reports))
        else:
            for each in reports:
                report.show(each, OUT)
    finally:  # a reader who has left does not cost the report, nor a full disk what is printed
        if folder:
            report.write(reports, folder)
    if folder and not as_json:
        OUT.print(f"Written: {folder / report.PAGE}, {report.REPORT} and the plots beside it.", soft_wrap=True)
