"""The terminal: results go to `OUT` (stdout); progress, notices and errors to `ERR` (stderr)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from core.text import count as count
from core.text import dumps
from core.text import plain as plain
from ui.entry import INTERRUPTED

if TYPE_CHECKING:
    from rich.progress import Progress

    from core.types import Answer, Citation

# No markup: square brackets in names, documents and answers are just that.
OUT = Console(highlight=False, markup=False, emoji=False)
ERR = Console(stderr=True, highlight=False, markup=False, emoji=False)
QUOTE_CHARS = 200
SOURCE_CHARS = 120


def shorten(text: str, limit: int) -> str:
    """One line of at most `limit` characters, cut between words."""
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1].rsplit(' ', 1)[0].rstrip(' ,;:')}…"


def say(message: str, style: str = "") -> None:
    """One line on stderr; long ones are left to the terminal to wrap."""
    ERR.print(Text(" ".join(plain(message).split()), style=style), soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(dumps(value, indent=2))


@contextmanager
def left_at_once() -> Iterator[None]:
    """Ctrl-C in the block ends the process there and then: for what may be left anywhere, such as opening, importing and rows of a file.

    As an exception it would wait for the threads that open, and in the midst of an import it leaves a lock that those wait for; SQLAlchemy
    logs one that meets it as it takes a connection back, and in a weak reference's callback Python drops it.
    """

    def leave(*_: object) -> None:
        ERR.show_cursor()
        say("Interrupted.")
        os._exit(INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    # Not where it is ignored, as in a shell's background.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def progress() -> Progress:
    """A progress bar on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    return Progress(*columns, console=ERR)


@contextmanager
def bars() -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """Hands over start(what, total), which gives advance(number just done): a bar for each; none is shown before the first."""
    bar = progress()

    def start(what: str, total: int) -> Callable[[int], None]:
        # Not before: a bar without a task would print an empty line above an error.
        bar.start()
        task = bar.add_task(what, total=total)
        return lambda done: bar.advance(task, done)

    try:
        yield start
    finally:
        if bar.tasks:
            bar.stop()


def probability_bar(value: float, width: int = 24) -> Text:
    """A bar for a number in [0, 1]."""
    filled = round(value * width)
    return Text.assemble(("█" * filled, "cyan"), ("·" * (width - filled), "dim"))


def step(event: Mapping[str, Any]) -> str | None:
    """What happens now, in words, after an event of `graph.api.stream`; None where nothing new begins."""
    if event["type"] == "route":
        chosen = event["data"]["expert"]
        return f"Reading {chosen if isinstance(chosen, str) else ' and '.join(chosen)} …" if chosen else None
    if event["type"] == "passages":
        return "Answering …"
    if event["type"] == "draft_rejected":
        return {"retry": "Reading more …", "fallback": "Asking another model …"}.get(event["data"]["next"], "Asking the superior model …")
    return None


def print_answer(answer: Answer) -> None:
    """The answer as Markdown, its sources, and a line on how it came about; notices on stderr."""
    from rich.markdown import Markdown

    # A link shows where it leads: one behind a word would be the terminal's to open.
    OUT.print(Markdown(plain(answer.answer), hyperlinks=False))
    if answer.citations:
        OUT.print()
        for n in sorted({c.n for c in answer.citations}):
            _print_source([c for c in answer.citations if c.n == n])
    OUT.print()
    OUT.print(Text(summary(answer), style="dim"))
    for notice in answer.notices:
        # A safety notice opens the answer's own text.
        if notice.kind != "safety":
            say(f"Note: {notice.text}", style="yellow")


def summary(answer: Answer) -> str:
    """Expert, outcome, confidence, models, cost and time in one line."""
    parts = [" + ".join(answer.route.experts), str(answer.outcome)]
    if answer.route.experts:
        parts.append(f"confidence {answer.confidence:.2f}")
    models, cost = " → ".join(dict.fromkeys(m.model for m in answer.models)), money(answer.cost_usd, "price unknown")
    parts += [models, cost, f"{answer.latency_ms / 1000:.2f} s"]
    return " · ".join(part for part in parts if part)


def _print_source(citations: Sequence[Citation]) -> None:
    first = citations[0]
    OUT.print(Text.assemble((f"[{first.n}] ", "cyan"), (shorten(first.title, SOURCE_CHARS), "bold")))
    if first.source:
        OUT.print(_indented(Text(shorten(first.source, SOURCE_CHARS), style="dim")))
    for quote in dict.fromkeys(c.quote for c in citations):
        OUT.print(_indented(Text(f"“{shorten(quote, QUOTE_CHARS)}”", style="italic")))


def _indented(text: Text) -> Any:
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, 4))


def money(usd: float | None, unknown: str = "unknown") -> str:
    """In USD, to a hundredth of a cent."""
    if usd is None:
        return unknown
    return "<$0.0001" if 0 < usd < 0.00005 else f"${usd:,.4f}" if usd else "$0"
