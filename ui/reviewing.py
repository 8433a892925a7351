"""The route before it runs, in the terminal: shown, then accepted or changed. On stderr, for stdout holds answers only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from core.errors import InputError
from ui.chat.figures import percent
from ui.console import ERR, say

SHORT = {"": "accept", "y": "accept", "yes": "accept", "n": "decline", "no": "decline"}


def choose(offered: Mapping[str, Any]) -> str:
    """One of the choices of a `review` event. Raises InputError at the end of the input."""
    while (said := reply(offered)) not in offered["choices"]:
        say(f"Expected Enter, or one of {', '.join(offered['choices'])}.", style="yellow")
    return said


def reply(offered: Mapping[str, Any]) -> str:
    """What is typed when a route is shown; Enter and y accept it, n declines. Raises InputError at the end of the input."""
    route = offered["route"]
    chosen = route["expert"]
    names = chosen if isinstance(chosen, str) else " and ".join(chosen or ["nobody"])
    likely = sorted(route["scores"].items(), key=lambda score: -score[1])
    say(f"{offered['question']}", style="dim")
    say("Route: " + names + " (" + ", ".join(f"{label.replace('_', ' ')} {percent(p)}" for label, p in likely) + ")")
    others = ", ".join(name for name in offered["choices"] if name not in ("accept", "decline"))
    ERR.print(f"Enter accepts, a name ({others}) asks that expert, n asks nobody: ", end="", markup=False, highlight=False, soft_wrap=True)
    line = sys.stdin.readline()
    if not line:
        ERR.print()
        raise InputError("Expected an answer to the route; the input ended. Leave --review out where nobody can answer.")
    said = line.strip()
    return SHORT.get(said.lower(), said)
