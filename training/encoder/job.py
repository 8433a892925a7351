"""The whole of it: gather, train, judge, and keep the new encoder only if it is better."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.errors import SwitchyardError
from core.files import check_replaceable
from evaluation.results import Progress, silent
from experts.check import check_questions
from graph.services import Services
from retrieval.encoder import TunedEncoder
from training.encoder.data import Files, examples
from training.encoder.gate import Compared, compare, numbers, refusals
from training.encoder.tuning import Recipe, Trainer

ABOUT, CARD = "about.json", "README.md"
FILES = ("model.onnx", "tokenizer.json", CARD)
"""Of an encoder, beside about.json."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a training. `refused`: why the encoder was not kept; empty when it was."""

    compared: list[Compared]
    refused: list[str]
    examples: int


def work_folder(folder: Path) -> Path:
    """Where the checkpoints of a training for `folder` are; it is gone when the training is over."""
    return folder.with_name(f".{folder.name}.training")


def train(
    services: Services, recipe: Recipe, folder: Path, files: Files | None = None, *, resume: bool = False, progress: Progress = silent
) -> Outcome:
    """Train, judge and, if it is better, write `folder`; an older encoder there stays until the new one is whole.

    Raises InputError for data, a checkpoint or a folder that cannot be used, SwitchyardError when a folder cannot be written.
    """
    check_replaceable(folder, "held_out", ours=FILES)
    if not files:
        check_questions(services.experts.values(), "dev", 1)
    work = work_folder(folder)
    rows = examples(services, files, progress)
    trainer = Trainer(rows, recipe, work, resume=resume)
    trainer.run(progress("Training", trainer.left))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".new-", dir=folder.parent, ignore_cleanup_errors=True) as made:
            fresh = Path(made) / "encoder"
            fresh.mkdir()
            trainer.export(fresh)
            compared = compare(services, TunedEncoder(fresh), files, progress)
            refused = refusals(compared)
            if not refused:
                _describe(fresh, folder.name, about(recipe, trainer.data, len(rows), files, compared))
                if folder.exists():
                    folder.replace(Path(made) / "old")
                fresh.replace(folder)
    except OSError as error:
        raise SwitchyardError(f"Cannot write {folder}: {error.strerror}. Mend that; the same command with --resume goes on.") from None
    shutil.rmtree(work, ignore_errors=True)
    return Outcome(compared, refused, len(rows))


def about(recipe: Recipe, data: str, rows: int, files: Files | None, compared: Sequence[Compared]) -> dict[str, Any]:
    """What is kept with the weights. `data`: the hash of what was learnt from."""
    source = "the experts' train questions" + (f" and {len(files.train):,} questions of the user's files" if files else "")
    return {"recipe": asdict(recipe), "trained_on": source, "examples": rows, "data": data, "held_out": numbers(compared)}


def _describe(folder: Path, name: str, kept: Mapping[str, Any]) -> None:
    """Write about.json and the card."""
    (folder / ABOUT).write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    recipe = ", ".join(f"{key} {value}" for key, value in kept["recipe"].items() if value != "")
    rows = "\n".join(f"| {what} | {of['before']:.3f} | {of['after']:.3f} |" for what, of in kept["held_out"].items())
    (folder / CARD).write_text(
        f"""# Text encoder: {name}

MiniLM (all-MiniLM-L6-v2, Apache-2.0), fine-tuned on {kept["examples"]:,} questions with a passage that answers each: {kept["trained_on"]}.
The licence of those texts is the user's to know.

Recipe: multiple-negatives ranking loss with one mined wrong passage a question; {recipe}. Data: {kept["data"]}.

| held out | before | after |
|---|---|---|
{rows}

To use it, set SWITCHYARD_ENCODER to this folder, and run `switchyard index --force`.
""",
        encoding="utf-8",
    )
