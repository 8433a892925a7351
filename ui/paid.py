"""Work that asks models for money: what it may cost is shown and asked for first, and a bar shows cost and time while it lasts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from core.errors import InputError, SwitchyardError
from ui.console import ERR, count, plain, print_json, progress, say
from ui.console import money as money

if TYPE_CHECKING:
    from graph.services import Services
    from training.building.asking import Asker
    from training.building.estimate import Estimate

Made = TypeVar("Made")
Limit = Annotated[int | None, typer.Option(min=1, help="Take the first so many rows only.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows that are finished together before the next begin.")]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="Calls at once, of each provider.")]
Rate = Annotated[int, typer.Option(min=1, help="Calls started a minute, of each provider.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ask again, and pay again, what was answered before.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be called and what it would cost; call nothing.")]
MaxCost = Annotated[float | None, typer.Option(min=0, metavar="USD", help="Stop before this is passed; earlier runs of the job count.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Map = Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Rename a field of the file.")]


@dataclass(frozen=True, slots=True)
class Terms:
    """How the user wants it done; see the options above."""

    concurrency: int
    rate: int
    fresh: bool
    dry_run: bool
    max_cost: float | None
    yes: bool
    json: bool


def spend(
    job: str,
    models: Sequence[str],
    terms: Terms,
    estimate: Callable[[], Sequence[Estimate]],
    work: Callable[[Asker], Coroutine[Any, Any, Made]],
) -> tuple[Made, Asker] | None:
    """What `work` made, and the asker that it used; None after a dry run. `job`: what earlier runs' cost was counted for.

    Raises InputError for a model that there is not, a price that is needed and unknown, or where nobody agrees to the cost;
    StoreError where another process uses the ledger; KeyboardInterrupt after Ctrl-C.
    """
    from graph.services import services
    from store import ledger

    shared = services()
    for model in models:
        shared.model(model)
    if terms.dry_run:
        _show(estimate(), ledger.spent(shared.engine, job), terms)
        return None
    with ledger.exclusive(shared.engine) as cut_off:
        if cut_off:
            what = f"{count(cut_off, 'call')} {'was' if cut_off == 1 else 'were'} on the way when an earlier run ended"
            say(f"Note: {what}. Asked again, it is with the same idempotency key; the cap counts both.", style="yellow")
        spent = ledger.spent(shared.engine, job)
        found = estimate()
        _show(found, spent, terms)
        _agree(found, spent, terms)
        return _ask(shared, job, terms, spent, found, work)


def _ask(
    shared: Services,
    job: str,
    terms: Terms,
    spent: float,
    found: Sequence[Estimate],
    work: Callable[[Asker], Coroutine[Any, Any, Made]],
) -> tuple[Made, Asker]:
    from training.building.asking import Asker, Interrupted, run
    from training.building.budget import Budget
    from training.building.pace import Limits

    asker = Asker(shared, job, Budget(terms.max_cost, spent), Limits(terms.concurrency, terms.rate), fresh=terms.fresh)
    priced = all(one.most_usd is not None for one in found)
    with progress() as bar:
        task = bar.add_task("", total=sum(one.calls for one in found))

        def advance(n: int = 1) -> None:
            bar.update(task, advance=n, description=f"Asking · {money(asker.budget.spent) if priced else 'cost unknown'}")

        asker.advance = advance
        advance(0)
        try:
            return run(asker, work(asker), lambda: _say_stopping(asker)), asker
        except Interrupted:
            pass
    say("Stopped. What was answered is in the ledger: the same command goes on from here" + (", without --fresh." if terms.fresh else "."))
    raise KeyboardInterrupt


def check_whole(asker: Asker, missing: int, terms: Terms) -> None:
    """Raises SwitchyardError where calls have no reply."""
    for model, fault in asker.given_up.items():
        say(f"{model} was given up: {fault}", style="yellow")
    if asker.capped:
        raise SwitchyardError(
            f"The cap of ${terms.max_cost:g} was reached: {count(asker.capped, 'call')} not made. "
            "Raise --max-cost and run the same command: nothing that was answered is paid again."
        )
    if missing:
        first = next(iter(asker.faults.values()), "")
        raise SwitchyardError(f"{count(missing, 'call')} without a reply. The same command asks them again. The first fault: {first}")


def agree(model: str, calls: int, characters: int, *, yes: bool) -> None:
    """Have the user agree to calls that read so much, where no ledger and no cap is kept. Raises InputError where nobody agrees."""
    from core.settings import settings
    from llms.prices import CHARS_A_TOKEN, cost_usd
    from training.building.estimate import EXPECTED_TOKENS

    about = cost_usd(model, characters // CHARS_A_TOKEN, calls * EXPECTED_TOKENS, settings().home)
    if about == 0:
        return
    say(f"{model} is asked {count(calls, 'time')}; together about {money(about)}.")
    if not yes:
        _confirm("Pass --yes.")


def _confirm(otherwise: str) -> None:
    if not sys.stdin.isatty():
        raise InputError(f"Nobody is there to agree to the cost. {otherwise}")
    if not typer.confirm("Go on?", err=True):
        raise InputError("Nothing was sent.")


def _show(found: Sequence[Estimate], spent: float, terms: Terms) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from training.building.estimate import total

    expected, most = total(found)
    table = Table(title="What is to be called", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold")  # a name that is cut might be another's
    for column in ("for", "calls", "in the\nledger", "to\nmake", "about", "at most"):
        table.add_column(column, no_wrap=True, justify="left" if column == "for" else "right")
    for one in found:
        numbers = (f"{one.calls:,}", f"{one.known:,}", f"{one.left:,}")
        table.add_row(plain(one.model), one.purpose, *numbers, money(one.expected_usd), money(one.most_usd))
    ERR.print(table)
    paid = f" {money(spent)} was paid in earlier runs." if spent else ""
    say(f"Together about {money(expected)}, at most {money(most)}.{paid}")
    if terms.dry_run and terms.json:
        print_json({"calls": [asdict(one) for one in found], "expected_usd": expected, "most_usd": most, "spent_usd": spent})


def _agree(found: Sequence[Estimate], spent: float, terms: Terms) -> None:
    from training.building.estimate import total

    expected, most = total(found)
    if terms.max_cost is not None:
        if unknown := [one.model for one in found if one.left and one.most_usd is None]:
            raise InputError(f"--max-cost needs the price of {unknown[0]}: write it into prices.toml in SWITCHYARD_HOME.")
        if expected is not None and spent + expected > terms.max_cost:
            say(f"Note: the cap of ${terms.max_cost:g} will probably be reached before the end.", style="yellow")
    if most == 0 or terms.yes:
        return
    if terms.max_cost is None or sys.stdin.isatty():
        _confirm("Pass --yes, or a cap: --max-cost USD")


def _say_stopping(asker: Asker) -> None:
    if not asker.abandoned:
        say("Stopping: waiting for the calls on their way, which are paid. Ctrl-C again gives them up.")
