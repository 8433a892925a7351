"""Make training data: labels of difficulty from people's judgements of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.console import OUT, count, plain, say, shorten

if TYPE_CHECKING:
    from training.judgements import Models, Question, WinRate

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Make training data: labels of difficulty from people's judgements of models."
)
SHOWN = 5


@app.callback()
def data() -> None:
    """Make training data."""


@app.command()
def label(
    judgements: Annotated[
        Path,
        typer.Option(
            "--from-judgements",
            metavar="FILE",
            help="Pairwise judgements as in lmsys/mt_bench_human_judgments: JSONL, JSON, CSV or Parquet.",
        ),
    ],
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the files go; judgements/ in SWITCHYARD_HOME.")] = None,
    models: Annotated[Path | None, typer.Option(metavar="FILE", help="An edited models.toml: label by its lists.")] = None,
) -> None:
    """Rank models by their wins and questions by difficulty, and label which questions need a superior model."""
    from core.settings import settings
    from training import judgements as recipe
    from training.judgement_files import check_unedited, read_judgements, write_labels

    folder = output or settings().home / "judgements"
    found, unknown = read_judgements(judgements)
    rates = recipe.win_rates(found)
    if models:
        lists = recipe.read_models(models, [rate.model for rate in rates])
    else:
        lists = recipe.split_models(rates)
        check_unedited(folder, lists)
    ranked = recipe.questions(found, lists)
    written = write_labels(folder, rates, lists, ranked)
    _print_rates(rates, lists)
    _print_hardest(ranked)
    for winner, n in unknown.items():
        say(f"Left out {count(n, 'judgement')} with the unknown winner {winner!r}.", style="yellow")
    if silent := len({(j.question, j.turn) for j in found}) - len(ranked):
        say(f"Not labelled: {count(silent, 'question')} without a game of a superior against an inferior model.")
    OUT.print(f"Written to {folder}: {', '.join(path.name for path in written)}", soft_wrap=True)
    OUT.print(f"Train on them: switchyard train difficulty {folder / 'labels.jsonl'}", soft_wrap=True)


def _print_rates(rates: Sequence[WinRate], lists: Models) -> None:
    from rich.table import Table

    table = Table("model", "tier", "games", "wins", "ties", "win rate", "95%", title="Models, the best first", title_justify="left")
    for rate in rates:
        tier = "superior" if rate.model in lists.superior else "inferior" if rate.model in lists.inferior else "-"
        low, high = rate.interval
        cells = (str(rate.games), str(rate.wins), str(rate.ties), f"{rate.rate:.3f}", f"{low:.2f}–{high:.2f}")
        table.add_row(plain(rate.model), tier, *cells)
    OUT.print(table)


def _print_hardest(ranked: Sequence[Question]) -> None:
    from graph.difficulty import ROUTE_TO_SUPERIOR

    needed = sum(question.label == ROUTE_TO_SUPERIOR for question in ranked)
    OUT.print(f"{count(len(ranked), 'question')}, of which {needed:,} need a superior model. The hardest:")
    for question in ranked[:SHOWN]:
        OUT.print(f"  {question.score:.2f}  {shorten(question.prompt, 90)}", soft_wrap=True)
