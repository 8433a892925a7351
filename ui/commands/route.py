"""Show where a question would go."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.types import OUT_OF_SCOPE, Route
from ui.commands.ask import one_or_many
from ui.console import OUT, plain, print_json, probability_bar

if TYPE_CHECKING:
    from ui.batch import Row

app = typer.Typer(add_completion=False, rich_markup_mode=None)
NEAREST = 3


@app.command()
def route(
    question: Annotated[str | None, typer.Argument(metavar="QUESTION", help="The question.", show_default=False)] = None,
    router: Annotated[str | None, typer.Option(metavar="KIND", help="The kind of router; by default the one that decides.")] = None,
    input_: Annotated[Path | None, typer.Option("--input", metavar="FILE", help='JSON lines {"id", "text"}.')] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the routes go, a line each; rows that are there are skipped.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the route object as JSON.")] = False,
) -> None:
    """Show where a question would go. Nothing is spent, but by a router of the kind llm."""
    one_or_many(question, input_, output, json_)
    from graph.nodes.prepare import clean_question
    from graph.nodes.route import find_route, with_difficulty
    from graph.services import services
    from ui.batch import read_rows, run_batch

    shared = services()

    def find(text: str) -> Route:
        asked = clean_question(text, shared.settings.max_question_chars)
        return with_difficulty(shared, asked, find_route(shared, asked, kind=router), spend=False)

    def work(row: Row) -> dict[str, Any]:
        return asdict(find(row.text))

    if input_ and output:
        rows = read_rows(input_)
        shared.router(router)
        run_batch(rows, input_, output, work, shared.settings.max_question_chars)
        return
    found = find(str(question))
    if json_:
        print_json(asdict(found))
    else:
        _print(found)


def _print(found: Route) -> None:
    from rich.table import Table
    from rich.text import Text

    scores = Table.grid(padding=(0, 2))
    for label, p in sorted(found.scores.items(), key=lambda item: -item[1]):
        style = "bold" if label in found.experts or (label == OUT_OF_SCOPE and found.out_of_scope) else ""
        scores.add_row(Text(label.replace("_", " "), style=style), probability_bar(p), Text(f"{p:.3f}", style=style))
    OUT.print(scores)
    OUT.print()
    OUT.print(Text(_decision(found), style="bold"))
    if found.superior_probability is not None:
        OUT.print(Text(f"The superior model is needed with probability {found.superior_probability:.2f}.", style="dim"))
    if found.nearest:
        OUT.print(Text("\nNearest examples", style="dim"))
        nearest = Table.grid(padding=(0, 2))
        for example in found.nearest[:NEAREST]:
            nearest.add_row(f"{example.similarity:.2f}", Text(example.label.replace("_", " "), style="cyan"), Text(plain(example.text)))
        OUT.print(nearest)


def _decision(found: Route) -> str:
    if found.out_of_scope:
        return f"Declined: out of scope from {found.thresholds['out_of_scope_at']:.2f} on."
    if len(found.experts) > 1:
        return f"Goes to {' and '.join(found.experts)}: each of them is asked from {found.thresholds['both_at']:.2f} on."
    if found.scores.get(OUT_OF_SCOPE, 0.0) >= found.thresholds["out_of_scope_at"]:
        # It is in doubt, and its documents were looked into.
        return f"Goes to {found.experts[0]}: out of scope from {found.thresholds['out_of_scope_at']:.2f} on, but its documents answer it."
    return f"Goes to {found.experts[0]}."
