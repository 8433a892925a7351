"""`switchyard data prepare`: prepares the files, writes what it made, and shows people what was done with their rows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.console import OUT, bars, count, plain, print_json, say, shorten

if TYPE_CHECKING:
    from training.prepare.recipe import Options, Prepared

SHOWN = 3
LONGEST = 160


def prepare(files: Sequence[Path], corpus: Path | None, options: Options, output: Path | None, *, as_json: bool) -> None:
    """Prepare the files, each expert's apart, and print a report of each, or one JSON document of all.

    Raises InputError and IndexFault.
    """
    from core.settings import settings
    from graph.services import services
    from training.prepare import recipe
    from training.prepare.report import as_dict, check_folder, write
    from training.prepare.sources import batches, open_corpus

    shared, found, command = services(), batches(files), _command(files, corpus, options)
    reports: list[dict[str, Any]] = []
    root = output or settings().home / "prepared"
    folders = [root if output and len(found) == 1 else root / batch.name for batch in found]
    for folder in folders:  # before the work, not after it
        check_folder(folder)
    for batch, folder in zip(found, folders, strict=True):
        source = corpus or batch.expert
        with bars() as show:
            documents = open_corpus(source, shared, show) if source else None
            prepared = recipe.prepare(batch.files, shared.encoder, options, documents, show)
        written = write(prepared, folder, command)
        reports.append({"name": batch.name, "output": str(folder), **as_dict(prepared, command)})
        if not as_json:
            _print(batch.name, prepared)
            OUT.print(f"Written to {folder}: {', '.join(path.name for path in written)}", soft_wrap=True)
    if as_json:
        print_json(reports if len(reports) > 1 else reports[0])


def _command(files: Sequence[Path], corpus: Path | None, options: Options) -> str:
    """The command that makes the same again."""
    given = [("--map", f"{ours}={theirs}") for ours, theirs in options.mapping.items()]
    given += [("--corpus", str(corpus))] if corpus else []
    given += [("--dev", f"{options.dev:g}"), ("--test", f"{options.test:g}"), ("--max-words", str(options.max_words))]
    given += [("--seed", str(options.seed))]
    return shlex.join(["switchyard", "data", "prepare", *map(str, files), *(part for pair in given for part in pair)])


def _print(name: str, prepared: Prepared) -> None:
    """The counts, a table of what was found, and the first examples of what was left out or is to be judged."""
    from rich.table import Table
    from rich.text import Text

    from training.prepare.findings import KINDS, Done

    splits = ", ".join(f"{n:,} {split}" for split, n in prepared.splits.items())
    OUT.print(f"{plain(name)}: {count(prepared.read, 'row')} read, {len(prepared.rows):,} written: {splits}", soft_wrap=True)
    found = {kind: rows for kind in KINDS if (rows := prepared.of_kind(kind))}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("found")
    table.add_column("rows", justify="right")
    table.add_column("what was done")
    for kind, rows in found.items():
        table.add_row(kind, f"{len(rows):,}", str(KINDS[kind].done))
    if found:
        OUT.print(table)
    for kind, rows in found.items():
        if KINDS[kind].done != Done.CHANGED:
            OUT.print(Text(f"{kind.capitalize()}: {KINDS[kind].meaning}", style="bold"), soft_wrap=True)
            for row in rows[:SHOWN]:
                OUT.print(Text(f"  {shorten(str(row), LONGEST)}", style="dim"), soft_wrap=True)
    for note in prepared.notes:
        say(note, style="yellow")
