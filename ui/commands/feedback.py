"""What people said of answers: read it, and learn from it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import InputError
from ui.commands._database import database
from ui.console import OUT, bars, count, plain, print_json, say, shorten

if TYPE_CHECKING:
    from store.feedback import Feedback

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="What people said of answers: list, export, delete, and learn from it behind a gate."
)
SHORT_ID = 8
RATED = {1: "good", 0: "so-so", -1: "bad", None: ""}
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_(json_: Json = False) -> None:
    """Show all feedback, newest first."""
    from rich.table import Table

    found = _all()[::-1]
    if json_:
        print_json([one.as_dict() for one in found])
        return
    if not found:
        say("No feedback yet. The thumbs under an answer in `switchyard ui` give it, and POST /feedback.")
        return
    table = Table("id", "when (UTC)", "who", "rating", "belongs to", "also", "question")
    for one in found:
        when = datetime.fromtimestamp(one.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        who = plain(one.owner or "-")
        table.add_row(one.id[:SHORT_ID], when, who, RATED[one.rating], one.expert or "", _also(one), shorten(one.question, 60), style=None)
    OUT.print(table)


class Form(StrEnum):
    """What an export holds."""

    FEEDBACK = "feedback"
    UTTERANCES = "utterances"
    EVALUATION = "evaluation"


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes.")],
    as_: Annotated[
        Form,
        typer.Option(
            "--as",
            help="feedback: all of it, one JSON object a line. Of the version in service, utterances: the corrections that it has learnt "
            "from, as utterances.csv; evaluation: those that judged it, for `eval routing`.",
        ),
    ] = Form.FEEDBACK,
) -> None:
    """Write feedback to a file, oldest first, or what it taught the router."""
    rows, fresh = _exported(as_), file.with_name(f".{file.name}.new")
    try:
        with fresh.open("w", encoding="utf-8", newline="") as out:
            if as_ is Form.UTTERANCES:
                table = csv.DictWriter(out, ["text", "split", "label"], lineterminator="\n")
                table.writeheader()
                table.writerows(rows)
            else:
                out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        fresh.replace(file)
    except OSError as error:
        raise InputError(f"Cannot write {file}: {error.strerror}. Choose a file in a folder that can be written.") from None
    OUT.print(f"{count(len(rows), 'row')} of {as_.value}: {file}", soft_wrap=True)


def _exported(as_: Form) -> list[dict[str, Any]]:
    """The rows, each in the order of its columns. Raises InputError where no correction is in service."""
    if as_ is Form.FEEDBACK:
        return [one.as_dict() for one in _all()]
    from graph.services import services
    from graph.versions import EVALUATION, UTTERANCES
    from training.feedback.retrain import taught

    split = {"split": "train"} if as_ is Form.UTTERANCES else {}
    rows = taught(services(), UTTERANCES if as_ is Form.UTTERANCES else EVALUATION)
    if not rows:
        raise InputError("No correction is in service yet. Learn from feedback first: switchyard feedback retrain")
    return [{"text": row["text"], **split, "label": row["label"]} for row in rows]


@app.command()
def delete(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `list` shows them.", show_default=False)] = None,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Delete all that this person said.")] = None,
) -> None:
    """Delete feedback; what was learnt from it goes with the next retraining."""
    from store.feedback import delete_feedback, delete_feedback_of

    if bool(ids) == bool(owner):
        raise InputError("Expected either ids or --owner. See them with: switchyard feedback list")
    engine = database()
    deleted = delete_feedback_of(engine, owner) if owner else delete_feedback(engine, [_whole(one, _all()) for one in ids or []])
    OUT.print(f"Deleted {count(deleted, 'row')} of feedback.")
    if deleted:
        say("What was learnt from it is taken out by the next: switchyard feedback retrain")


@app.command()
def retrain(json_: Json = False) -> None:
    """Learn from all feedback; only what is better than what is in service is promoted."""
    from graph.services import services
    from training.feedback import retrain as recipe

    with bars() as show:
        made = recipe.retrain(services(), show)
    if json_:
        print_json({"version": made.number, "promoted": made.promoted, "before": made.before, **made.report})
        return
    _print_report(made.report)
    if made.promoted:
        OUT.print(f"Version {made.number} is in service. Back to version {made.before}: switchyard feedback rollback")
    else:
        OUT.print(f"Nothing is promoted: {_named(made.before)} stays in service.")
    if made.report["promise"]:
        say(made.report["promise"], style="yellow")


@app.command()
def rollback() -> None:
    """Put the version into service that was before."""
    from graph.promise import broken_promise
    from graph.services import services
    from training.feedback.retrain import roll_back

    OUT.print(f"{_named(roll_back(services())).capitalize()} is in service.")
    if broken := broken_promise(services()):
        say(broken, style="yellow")


def _named(version: int) -> str:
    return f"version {version}" if version else "what ships"


def _also(one: Feedback) -> str:
    """What else was said, in a word each."""
    said = [f"[{n}] wrong" for n in one.wrong_citations]
    return ", ".join([*said, *(["text"] if one.text else []), *(["comment"] if one.comment else [])])


def _whole(start: str, found: Sequence[Feedback]) -> str:
    """The one id that begins so."""
    ids = [one.id for one in found if start and one.id.startswith(start)]
    if len(ids) != 1:
        raise InputError(f"Expected the id of one row of feedback; {len(ids)} begin with {start!r}. See: switchyard feedback list")
    return ids[0]


def _print_report(report: Mapping[str, Any]) -> None:
    from rich.table import Table

    OUT.print(f"{count(report['feedback'], 'row')} of feedback")
    for reason, n in report["left_out"].items():
        OUT.print(f"  left out: {n:,} {reason}")
    table = Table("compared on", "rows", "in service", "candidate", "95% of the difference", title_justify="left")
    for part in ("router", "confidence"):
        for one in report[part]["comparisons"]:
            if one["n"]:
                interval = one["interval"] and "{:+.3f} to {:+.3f}".format(*one["interval"])
                table.add_row(f"{part}: {one['name']}", f"{one['n']:,}", f"{one['before']:.3f}", f"{one['after']:.3f}", interval or "-")
    if table.row_count:
        OUT.print(table)
    for part in ("router", "confidence"):
        found = report[part]
        verdict = "is better" if found["promoted"] else f"stays: {'; '.join(found['objections'])}"
        OUT.print(f"The {part}, with {count(found['learnt'], 'row')} learnt from, {verdict}.", soft_wrap=True)


def _all() -> list[Feedback]:
    from store.feedback import all_feedback

    return all_feedback(database())
