"""Write a conversation as Markdown or JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from core.errors import InputError, UnknownNameError
from ui.console import plain, print_json

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def export(
    thread: Annotated[str | None, typer.Argument(metavar="THREAD", help="Its name; without one, the last conversation.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document, with all that is stored.")] = False,
) -> None:
    """Write a conversation as Markdown or JSON."""
    from graph.services import services
    from store.runs import thread_runs, threads
    from ui.transcript import conversation_json, conversation_markdown

    shared = services()
    known = [found.thread_id for found in threads(shared.engine)]
    if not known:
        raise InputError("There is no conversation to export yet. Begin one with: switchyard chat")
    # Conversations of an owner are the server's: GET /v1/threads/{id} gives them to whom they belong.
    turns = [run for run in thread_runs(shared.engine, thread or known[0]) if run.owner is None]
    if not turns:
        raise UnknownNameError("conversation", thread or known[0], known[:5])
    if json_:
        print_json(conversation_json(turns))
    else:
        titles = {name: expert.card.title for name, expert in shared.experts.items()}
        print(plain(conversation_markdown(turns, titles)), end="")
