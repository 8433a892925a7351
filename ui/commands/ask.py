"""Ask a question, or every question of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import InputError, UnknownNameError
from core.files import make_home
from core.pictures import open_pictures
from ui.console import ERR, left_at_once, print_answer, print_json, step

if TYPE_CHECKING:
    from graph.services import Services
    from graph.state import Context
    from ui.batch import Row

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def ask(
    question: Annotated[str | None, typer.Argument(metavar="QUESTION", help="The question.", show_default=False)] = None,
    expert: Annotated[str, typer.Option(metavar="NAME", help="The expert to ask; auto lets the router choose.")] = "auto",
    model: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="A model, written provider:name, in the place of the inferior one; auto: as recommended, where that is trained.",
        ),
    ] = None,
    no_escalate: Annotated[bool, typer.Option("--no-escalate", help="Never ask the superior model.")] = False,
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A PNG, JPEG, GIF or WebP that belongs to the question, or is all of it; may be repeated."),
    ] = None,
    thread: Annotated[str | None, typer.Option(metavar="ID", help="A conversation to go on with, or to begin.")] = None,
    review: Annotated[bool, typer.Option("--review", help="Show the route first, to accept it or to choose another expert.")] = False,
    input_: Annotated[Path | None, typer.Option("--input", metavar="FILE", help='JSON lines {"id", "text"[, "expert"]}.')] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the answers go, a line each; rows that are there are skipped.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the answer object as JSON.")] = False,
) -> None:
    """Ask a question, or every question of a file."""
    if image and input_:
        raise InputError("--image belongs to one question, and the rows of --input are many: leave --image out.")
    if review and input_:
        raise InputError("--review asks somebody about one route, and the rows of --input are many: leave --review out.")
    one_or_many("" if image and question is None else question, input_, output, json_)
    images = open_pictures(image or [], files=True)
    from graph.services import AUTO, services

    shared = services()
    make_home(shared.settings.home)
    with left_at_once(), shared.opening():
        import graph.api  # noqa: F401  # LangGraph and SQLAlchemy, which the opening does not wait for
    from graph.state import Context

    if model and model != AUTO:
        shared.model(model)
    context = Context(expert=expert, model=model, escalate=not no_escalate, images=images, review=review)
    if input_ and output:
        _ask_all(shared, context, thread, input_, output)
        return
    answer = _ask_one(shared, question or "", context, thread)
    if json_:
        print_json(answer)
        return
    from core.types import Answer

    print_answer(Answer.from_dict(answer))


def one_or_many(question: str | None, source: Path | None, output: Path | None, as_json: bool) -> None:
    """Raises InputError unless there is either a question, or both a file to read and one to write."""
    if (question is None) == (source is None):
        got = "neither" if question is None else "both"
        raise InputError(f"Expected either a question or --input FILE with --output FILE; got {got}. Put a question into quotes.")
    if (source is None) != (output is None):
        raise InputError("--input and --output belong together: name both files, or neither.")
    if source is not None and as_json:
        raise InputError("--json prints one document, and the rows of --input go to --output: leave --json out.")


def _ask_one(shared: Services, question: str, context: Context, thread: str | None) -> dict[str, Any]:
    from graph.api import events, resumed
    from ui.reviewing import choose

    last = _played(events(question, context, thread, shared))
    if last["type"] == "review":
        choice = choose(last["data"])
        last = _played(resumed(choice, context, last["data"]["thread_id"], shared))
    data: dict[str, Any] = last["data"]
    return data


def _played(turn: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The last event; those before it are told on stderr."""
    last: dict[str, Any] = {}
    with ERR.status("Routing …") as status:
        for last in turn:
            if now := step(last):
                status.update(now)
    return last


def _ask_all(shared: Services, context: Context, thread: str | None, source: Path, output: Path) -> None:
    from dataclasses import replace

    from graph.api import run_alone
    from ui.batch import read_rows, run_batch

    if thread:
        raise InputError("--thread continues one conversation, and the rows of --input are many: leave --thread out.")
    rows = read_rows(source)
    _check_experts(shared, context, rows, source)

    def work(row: Row) -> dict[str, Any]:
        own = replace(context, expert=row.expert or context.expert)
        return run_alone(row.text, own, shared).as_dict()

    with left_at_once():
        run_batch(rows, source, output, work, shared.settings.max_question_chars)


def _check_experts(shared: Services, context: Context, rows: Sequence[Row], source: Path) -> None:
    """Raises InputError for an expert that does not exist, with the line of the row that names it."""
    if context.expert != "auto":
        shared.expert(context.expert)
    for row in rows:
        try:
            if row.expert not in (None, "auto"):
                shared.expert(row.expert)
        except UnknownNameError as error:
            raise InputError(f"{source}, line {row.line}: {error}") from None
