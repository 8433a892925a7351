"""Build the indexes of the experts and fit the router."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import DocumentError, IndexFault
from ui.console import OUT, count, progress, say

if TYPE_CHECKING:
    from experts.discovery import Expert
    from graph.services import Services
    from retrieval.index import Manifest

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def index(
    expert: Annotated[
        list[str] | None, typer.Argument(metavar="EXPERT", help="Experts; all of them when none is named.", show_default=False)
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Build nothing: say what state each index is in.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Build anew whatever the state.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes that encode passages; default: as many as are worth it.", show_default=False),
    ] = None,
) -> None:
    """Build the indexes of the experts and fit the router."""
    from graph.services import services

    shared = services()
    chosen = [shared.expert(name) for name in dict.fromkeys(expert or shared.experts)]
    if check:
        report(shared, chosen)
    else:
        build(shared, chosen, force=force, workers=workers)


def build(shared: Services, experts: Iterable[Expert], *, force: bool = False, workers: int | None = None) -> None:
    """Build what is missing, stale or corrupt (everything with `force`), and fit the router.

    An expert whose documents cannot be read is named, and the others are built. Raises IndexFault for an index that another encoder
    wrote, unless forced, and DocumentError at the end when an expert was left out.
    """
    left_out = []
    for expert in experts:
        try:
            _build_if_needed(shared, expert, force, workers)
        except DocumentError as error:
            say(f"{expert.name}: {error}", style="red")
            left_out.append(expert.name)
    if force:
        shutil.rmtree(shared.settings.indexes_dir / ".router", ignore_errors=True)
    # The first question then waits for neither.
    _ = shared.safety
    OUT.print(f"router: ready, {' · '.join(shared.router().labels)}" if not shared.lone else f"router: none, all goes to {shared.lone}")
    if left_out:
        raise DocumentError(f"Without an index, and so not to be asked: {', '.join(left_out)}. Mend the documents, then run it again.")


def _build_if_needed(shared: Services, expert: Expert, force: bool, workers: int | None) -> None:
    from experts.indexes import index_state

    state = index_state(expert, shared.encoder, shared.indexes, whole=True)
    if state == "foreign" and not force:
        raise IndexFault(f"The index of {expert.name} was written by another encoder. Run: switchyard index {expert.name} --force")
    if state != "ok" or force:
        _build_one(shared, expert, workers)
    else:
        OUT.print(f"{expert.name}: up to date, {contents(shared, expert.name)}")


def report(shared: Services, experts: Iterable[Expert]) -> None:
    """Say the state of each index, every file read. Exits with 1 when one is not ok."""
    from experts.indexes import index_state, unbuildable

    ill = False
    for expert in experts:
        name = expert.name
        if fault := unbuildable(expert, shared.indexes):
            OUT.print(f"{name}: {fault}", soft_wrap=True)
            ill = True
            continue
        state = index_state(expert, shared.encoder, shared.indexes, whole=True)
        OUT.print(f"{name}: {state}, {contents(shared, name)}" if state == "ok" else f"{name}: {state}. Run: {remedy(name, state)}")
        ill |= state != "ok"
    if ill:
        raise typer.Exit(1)


def remedy(name: str, state: str) -> str:
    """The command that mends an index in `state`."""
    return f"switchyard index {name}" + (" --force" if state == "foreign" else "")


def contents(shared: Services, name: str) -> str:
    """How much the index of an expert holds. Raises IndexFault when there is none."""
    if manifest := shared.indexes.manifest(name):
        return _held(manifest)
    raise IndexFault(f"There is no index of {name}. Run: {remedy(name, 'missing')}")


def _held(manifest: Manifest) -> str:
    return f"{count(manifest.documents, 'document')}, {count(manifest.passages, 'passage')}"


def _build_one(shared: Services, expert: Expert, workers: int | None) -> None:
    from experts.indexes import build_index
    from retrieval.chunking import chunk
    from retrieval.embedding import default_workers, encoding
    from retrieval.loaders import load_folder

    started = time.perf_counter()
    # Reading the documents twice costs little beside encoding them, and tells how long the bar is.
    passages = len(chunk(load_folder(expert.corpus)))
    shared.encoder.encode(["The first text loads the model, or exports it: not in each of the processes."])
    with encoding(shared.open_encoder, workers or default_workers(shared.encoder, passages)) as encode, progress() as bar:
        task = bar.add_task(expert.name, total=passages)
        built = build_index(expert, shared.encoder, shared.indexes, lambda n: bar.advance(task, n), encode)
    OUT.print(f"{expert.name}: built in {time.perf_counter() - started:.1f} s, {_held(built.manifest)}")
