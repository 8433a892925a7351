"""Make a key for the server, list the keys, or revoke one."""

from __future__ import annotations

import math
import re
import time
from typing import Annotated

import typer

from core.errors import InputError
from ui.commands._database import database
from ui.console import OUT, print_json, say

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Make a key for the server, list the keys, or revoke one.")
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@app.command()
def create(
    owner: Annotated[
        str, typer.Argument(metavar="OWNER", help="Whose key it is; all keys of an owner share conversations.", show_default=False)
    ],
    per_minute: Annotated[int | None, typer.Option(metavar="N", min=1, help="The most requests a minute.", show_default="no limit")] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="The most that a calendar month may cost.", show_default="no limit")
    ] = None,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    if not OWNER.fullmatch(owner):
        raise InputError(f"Expected an owner of 1 to 40 letters, digits, dots, - and _; got {owner[:60]!r}.")
    if budget is not None and not math.isfinite(budget):
        raise InputError(f"Expected a budget in dollars; got {budget}. Leave --budget out for no limit.")
    from store import keys

    made, secret = keys.create(database(), owner, per_minute, budget)
    print(secret)
    say(f"Key {made.key_id} of {owner}. Keep it now, it is not shown again; clients send it as Authorization: Bearer KEY.")


@app.command("list")
def list_(json_: Annotated[bool, typer.Option("--json", help="Print the keys as JSON.")] = False) -> None:
    """List the keys: whose they are, their limits, and what they cost this month."""
    from dataclasses import asdict

    from rich.table import Table

    from store import keys

    found = keys.listed(database())
    if json_:
        print_json([asdict(key) for key in found])
        return
    if not found:
        OUT.print("No keys: the server listens on this machine only. Make one: switchyard key create OWNER", soft_wrap=True)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("id", "owner", "made", "a minute", "this month", "budget", "state"):
        table.add_column(column, no_wrap=True)
    for key in found:
        limits = (
            f"{key.per_minute:,}" if key.per_minute else "-",
            f"${key.spent_usd:.4f}",
            "-" if key.budget_usd is None else f"${key.budget_usd:g}",
        )
        table.add_row(
            key.key_id, key.owner, _day(key.created_at), *limits, f"revoked {_day(key.revoked_at)}" if key.revoked_at else "in use"
        )
    OUT.print(table)


@app.command()
def revoke(key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as key list shows it.", show_default=False)]) -> None:
    """Revoke a key, at once and for good."""
    from store import keys

    keys.revoke(database(), key)
    OUT.print(f"Revoked {key}.")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
