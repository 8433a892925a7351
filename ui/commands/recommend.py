"""Say which of your models suits a prompt."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ui.console import OUT, plain, print_json, probability_bar, shorten

if TYPE_CHECKING:
    from graph.recommendation import Recommendation

app = typer.Typer(add_completion=False, rich_markup_mode=None)
PROMPT_CHARS = 100


@app.command()
def recommend(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt.")],
    budget: Annotated[float | None, typer.Option(min=0, metavar="USD", help="The best model that costs at most so much.")] = None,
    quality_floor: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="Q", help="The cheapest model of at least this quality, from 0 to 1.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say which of your models suits a prompt, at what quality, cost and time. Nothing is spent, but by a recommender of the kind llm.

    Needs a recommender: switchyard train recommender DATA.jsonl
    """
    from graph.nodes.prepare import clean_question
    from graph.recommendation import recommend as find
    from graph.services import services

    shared = services()
    found = find(shared, clean_question(prompt, shared.settings.max_question_chars), budget=budget, floor=quality_floor)
    if json_:
        print_json({"prompt": prompt, **asdict(found)})
    else:
        _print(found)


def _print(found: Recommendation) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_row("", Text("quality", style="dim"), "", *(Text(name, style="dim") for name in ("cost", "time", "measured on")))
    for each in found.models:
        style = "bold" if each.model == found.model else ""
        cost = "unknown" if each.cost_usd is None else f"${each.cost_usd:.2g}"
        time = "unknown" if each.latency_ms is None else f"{each.latency_ms / 1000:.1f} s"
        cells = (f"{each.quality:.2f}", probability_bar(each.quality), cost, time, f"{each.measured:,}")
        table.add_row(Text(plain(each.model), style=style), *cells)
    OUT.print(table)
    OUT.print()
    OUT.print(Text(plain(f"Ask {found.model}: {found.reason}."), style="bold"), soft_wrap=True)
    if found.nearest:
        OUT.print(Text("\nNearest measured prompts", style="dim"))
        for near in found.nearest:
            scores = ", ".join(f"{plain(m)} {s:.2f}" for m, s in sorted(near.scores.items(), key=lambda item: -item[1]))
            OUT.print(Text.assemble(f"{near.similarity:.2f}  ", shorten(near.prompt, PROMPT_CHARS), (f"  {scores}", "dim")), soft_wrap=True)
    if found.unmeasured:
        OUT.print(Text(plain(f"\nNot measured yet: {', '.join(found.unmeasured)}"), style="dim"), soft_wrap=True)
    for model, problem in found.unusable.items():
        OUT.print(Text(plain(f"Not available: {model}. {problem}"), style="dim"), soft_wrap=True)
