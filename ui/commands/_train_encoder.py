"""The command `train encoder`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.errors import InputError
from core.files import check_writable
from ui.console import OUT, bars, say


def encoder(
    name: Annotated[str, typer.Argument(help="What to call it: its folder in SWITCHYARD_HOME/encoders.")] = "tuned",
    corpus: Annotated[Path | None, typer.Option(help='Passages of yours, JSON lines {"_id", "title", "text"}.')] = None,
    qrels: Annotated[Path | None, typer.Option(help='Questions, JSON lines {"qid", "question", "passage_id", "answers"}.')] = None,
    held_out: Annotated[Path | None, typer.Option(help="Questions to judge it on; those of a tenth of the passages by default.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    batch: Annotated[int, typer.Option(min=2, help="Questions a batch.")] = 32,
    blend: Annotated[float, typer.Option(min=0, max=1, help="From the old weights (0) to the new ones (1).")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write it instead.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the same training was stopped.")] = False,
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Rename a field of your files.")] = None,
) -> None:
    """Fine-tune the text encoder on questions and their passages; kept only if retrieval improves and routing does not get worse."""
    from evaluation.data import parse_map
    from graph.services import services
    from training.encoder import job
    from training.encoder.data import read_files
    from training.encoder.gate import as_table
    from training.encoder.tuning import Recipe

    if bool(corpus) != bool(qrels) or (held_out and not corpus):
        raise InputError("Expected --corpus and --qrels together, and --held-out only beside them.")
    shared = services()
    folder = output or shared.settings.home / "encoders" / name
    check_writable(folder.parent)
    files = read_files(corpus, qrels, held_out, parse_map(map_ or []), seed) if corpus and qrels else None
    try:
        with bars() as show:
            recipe = Recipe(epochs=epochs, batch=batch, blend=blend, seed=seed)
            found = job.train(shared, recipe, folder, files, resume=resume, progress=show)
    except KeyboardInterrupt:
        say("Stopped. The same command with --resume goes on.")
        raise
    OUT.print(as_table(found.compared))
    if found.refused:
        OUT.print(f"Not kept: {'; '.join(found.refused)}. The encoder in use stays.", soft_wrap=True)
        return
    OUT.print(f"Written: {folder}, trained on {found.examples:,} questions.", soft_wrap=True)
    OUT.print(
        f"To use it: set SWITCHYARD_ENCODER={folder.resolve()}, run switchyard index --force, then switchyard train confidence.",
        soft_wrap=True,
    )
