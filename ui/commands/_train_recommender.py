"""The command `train recommender`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from core.errors import InputError
from core.files import check_replaceable, check_writable
from ui.console import OUT, bars, say
from ui.paid import Yes, agree

SHOWN_FAULTS = 5


def recommender(
    data: Annotated[
        list[Path],
        typer.Argument(help='Prompts with the scores of several models, JSON lines {"prompt", "scores": {model: x}}.', show_default=False),
    ],
    kind: Annotated[
        str | None, typer.Option(metavar="KIND,...", help="neighbours, kernel, logistic, xgboost or llm; the quick ones by default.")
    ] = None,
    group: Annotated[str | None, typer.Option(metavar="COLUMN", help="Cross-validation keeps rows of one value on one side.")] = None,
    model: Annotated[str | None, typer.Option(metavar="SPEC", help="The chat model of the kind llm, written provider:name.")] = None,
    prices: Annotated[Path | None, typer.Option(help="Your price list (as llms/prices.toml), for costs that the files lack.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where it goes; recommender/ in SWITCHYARD_HOME.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Rename a field of your files.")] = None,
    yes: Yes = False,
) -> None:
    """Learn from recorded scores which model suits which prompt. Kinds are compared, and the best one is kept.

    The one in service stays where the new one is not clearly better than the best single model; --output writes the new one all the same.
    """
    from evaluation.data import parse_map
    from evaluation.measured import as_measured, read_scored
    from evaluation.recommendation import quick
    from graph.asked_scores import characters_to_read
    from graph.recommender import LLM
    from graph.services import services
    from llms.prices import read_prices
    from training import recommender as recipe

    kinds = list(dict.fromkeys(name.strip() for name in kind.split(","))) if kind else quick()
    if LLM in kinds and not model:
        raise InputError("The kind llm asks a chat model: expected --model SPEC, for example --model openai:gpt-5-mini.")
    if output:
        check_replaceable(output, "checksums")
    shared = services()
    folder = output or shared.settings.home / "recommender"
    check_writable(folder.parent)
    rows, faults = read_scored(data, parse_map(map_ or []), group)
    _say_left_out(faults)
    measured, notes = as_measured(rows, read_prices(prices) if prices else None, shared.settings.home)
    if LLM in kinds and model:
        agree(model, len(rows), characters_to_read(measured.prompts, measured.models), yes=yes)
    with bars() as show:
        fitted, compared, more = recipe.train(shared, rows, measured, data[0], kinds, model=model, seed=seed, progress=show)
    OUT.print(recipe.as_table(compared))
    for note in [*notes, *more]:
        say(note)
    if not compared.pays and _stays(folder, compared.best, named=output is not None):
        return
    recipe.save(fitted, folder, len(rows), data, compared)
    OUT.print(f"{compared.best}, fitted on all {len(rows):,} rows: {folder}", soft_wrap=True)


def _say_left_out(faults: Sequence[str]) -> None:
    for fault in faults[:SHOWN_FAULTS]:
        say(f"Left out: {fault}", style="yellow")
    if len(faults) > SHOWN_FAULTS:
        say(f"Left out: {len(faults) - SHOWN_FAULTS:,} more lines.", style="yellow")


def _stays(folder: Path, best: str, *, named: bool) -> bool:
    """Whether the recommender in service is kept, for the new one does not pay. `named`: the user said where the new one goes."""
    say(f"{best} is not clearly better than always asking the best single model, nor as good for less.", style="yellow")
    if named or not folder.exists():
        return False
    OUT.print(f"{folder} stays in service. Measure more prompts, or write the new one with: --output DIR", soft_wrap=True)
    return True
