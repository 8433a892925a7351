"""Open past runs, and see what changed from week to week."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import InputError
from core.files import write_files
from ui.commands._database import database
from ui.console import ERR, OUT, print_json, say

if TYPE_CHECKING:
    from evaluation.drift import Week

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Open past runs with their whole decision, and see what changed.")
UNITS_S = {"h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="No run before: a day (2026-11-01), or so long ago: 12h, 7d, 4w.", show_default=False),
]


@app.command("list")
def list_(
    since: Since = None,
    expert: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs that asked this expert.", show_default=False)] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="OUTCOME", help="Only runs that ended so, e.g. escalated.", show_default=False)
    ] = None,
    thread: Annotated[str | None, typer.Option(metavar="ID", help="Only this conversation's.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The most runs to show.")] = 20,
    json_: Json = False,
) -> None:
    """List the runs, newest first."""
    from dataclasses import asdict

    from core.types import Outcome
    from store.runs import Wanted, turns
    from ui.runs import run_table

    if outcome is not None and outcome not in list(Outcome):
        raise InputError(f"--outcome: expected one of {', '.join(Outcome)}; got {outcome[:40]!r}.")
    found = turns(database(), Wanted(moment(since), expert, outcome, thread), limit + 1)
    if json_:
        print_json([asdict(turn) for turn in found[:limit]])
        return
    if not found:
        say("No such run. Every question that is asked makes one; see them all with: switchyard runs list")
        return
    OUT.print(run_table(found[:limit]))
    if len(found) > limit:
        say(f"The newest {limit:,}; more with --limit. Open one: switchyard runs show RUN")


@app.command()
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or how it begins.", show_default=False)], json_: Json = False
) -> None:
    """Show one run with its whole decision.

    Route, passages, drafts, verdicts, escalation, models, cost, notices and feedback.
    """
    from dataclasses import asdict

    from store.feedback import feedback_on
    from store.runs import find_run, ids_from
    from ui.runs import print_run

    engine = database()
    ids = ids_from(engine, run) if run else []
    found = find_run(engine, run if len(ids) != 1 else ids[0])
    if found is None:
        what = f"several begin with {run[:40]!r}, such as {ids[0]} and {ids[1]}" if ids else f"none begins with {run[:40]!r}"
        raise InputError(f"Expected the id of one run; {what}. See: switchyard runs list")
    said = feedback_on(engine, found.run_id)
    if json_:
        print_json({**asdict(found), "feedback": [one.as_dict() for one in said]})
    else:
        print_run(found, said)


@app.command()
def drift(
    since: Since = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write drift.png and drift.json there.", show_default=False)] = None,
    json_: Json = False,
) -> None:
    """Show what changed from week to week.

    Where questions went, how turns ended, confidence against feedback, cost and time; what differs beyond chance is marked.
    """
    from evaluation.drift import TESTS, weeks
    from store.feedback import all_feedback, verdicts
    from store.runs import Wanted, turns
    from ui.runs import print_drift

    engine = database()
    with ERR.status("Comparing the weeks …"):
        found = weeks(turns(engine, Wanted(moment(since))), verdicts(all_feedback(engine)))
    body = {"tests": TESTS, "weeks": [week.as_dict() for week in found]}
    if report:
        _write(report, found, body)
    if json_:
        print_json(body)
    elif found:
        print_drift(found)
    else:
        say("No runs yet. Every question that is asked makes one.")


def moment(since: str | None) -> float | None:
    """Seconds since the epoch. Raises InputError for what is neither a day nor a span of time."""
    if since is None:
        return None
    if span := re.fullmatch(r"(\d{1,6})([hdw])", since):
        return time.time() - int(span[1]) * UNITS_S[span[2]]
    try:
        return datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise InputError(f"--since: expected a day such as 2026-11-01, or a span such as 12h, 7d or 4w; got {since[:40]!r}.") from None


def _write(folder: Path, found: Sequence[Week], body: dict[str, Any]) -> None:
    """The report's files, each whole or not at all."""
    import json

    from evaluation.drift_plot import plot

    files = {"drift.json": json.dumps(body, indent=2).encode()}
    if found:
        files["drift.png"] = plot(found).png
    try:
        write_files(folder, files)
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror}. Choose a folder that can be written.") from None
    say(f"Written: {', '.join(str(folder / name) for name in files)}")
