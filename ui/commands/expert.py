"""Make an expert, list the experts, or check one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.console import ERR, OUT, count, plain, print_json

if TYPE_CHECKING:
    from experts.check import Pair, Report

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Make an expert, list the experts, or check one.")
SHOWN = 10


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, - and _.", show_default=False)],
    docs: Annotated[
        Path, typer.Option(metavar="PATH", help="A folder of documents, or one: .md .txt .html .pdf .csv .jsonl", show_default=False)
    ],
    questions: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV file: question, answer, key, document, split.")] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The name that people read.")] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it covers, in a sentence.")] = None,
) -> None:
    """Make an expert from documents, and build its index."""
    from core.settings import settings
    from experts.check import check as look
    from experts.create import create_expert
    from graph.services import services
    from ui.commands.index import build

    made = create_expert(settings().experts_dir, name, docs, questions=questions, title=title, description=description)
    shared = services()
    OUT.print(f"Made {made.folder}", soft_wrap=True)
    build(shared, [made])
    _print(look(made, shared.experts, shared.kept_encoder))
    OUT.print(f'Next: write what people ask into utterances.csv, then try: switchyard ask --expert {name} "..."', soft_wrap=True)


@app.command("list")
def list_() -> None:
    """List the experts: what each covers and how much it has read."""
    from rich.table import Table

    from core.settings import settings
    from experts.discovery import discover
    from retrieval.loaders import corpus_files

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("name", "files", "questions", "utterances"):
        table.add_column(column, justify="left" if column == "name" else "right", no_wrap=True)
    table.add_column("covers")
    for e in discover(settings().experts_dir).values():
        counts = (len(corpus_files(e.corpus)), len(e.questions()), len(e.utterances()))
        table.add_row(e.name, *(f"{n:,}" for n in counts), plain(e.card.description))
    OUT.print(table)


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The expert.", show_default=False)],
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look for collisions, near-duplicates and dead references."""
    from experts.check import check as look
    from graph.services import services

    shared = services()
    chosen = shared.expert(name)
    with ERR.status(f"Comparing the utterances of {name} with all others …"):
        found = look(chosen, shared.experts, shared.kept_encoder)
    if json_:
        print_json(found.as_dict())
    else:
        _print(found)
    if not found.ok:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    from experts.check import COLLISION_AT, DUPLICATE_AT, MAX_DUPLICATE_SHARE

    sizes = (count(report.documents, "document"), count(report.questions, "question"), count(report.utterances, "utterance"))
    spanning = f"; {report.spanning:,} of them span experts" if report.spanning else ""
    OUT.print(f"{report.expert}: {', '.join(sizes)}{spanning}")
    _section("Dead references of questions", [f"{d.question} ({d.document}: {d.problem})" for d in report.dead_references], "red")
    _section("Files that cannot be read", report.unreadable, "red")
    share = report.near_duplicate_share
    style = "red" if share > MAX_DUPLICATE_SHARE else "yellow"
    allowed = f", {share:.1%} of the utterances (at most {MAX_DUPLICATE_SHARE:.0%})"
    _section(f"Near-duplicates, cosine above {DUPLICATE_AT}", [_pair(p) for p in report.near_duplicates], style, allowed)
    _section(f"Collisions, cosine above {COLLISION_AT}", [_pair(p) for p in report.collisions], "yellow")
    _section("Documents that name no source", report.without_source, "yellow")


def _pair(pair: Pair) -> str:
    return f"{pair.similarity:.3f}  {pair.text}  ~  {pair.other} [{pair.label.replace('_', ' ')}]"


def _section(title: str, lines: list[str], style: str, remark: str = "") -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not lines:
        OUT.print(Text.assemble(f"{title}: ", ("none", "green")))
        return
    OUT.print(Text.assemble(f"{title}: ", (f"{len(lines):,}{remark}", style)))
    for line in lines[:SHOWN]:
        OUT.print(Padding(Text(plain(line), style="dim"), (0, 0, 0, 4)))
    if len(lines) > SHOWN:
        OUT.print(Text(f"    and {len(lines) - SHOWN:,} more: --json lists all", style="dim"))
