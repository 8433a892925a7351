"""`switchyard train reader`: gather examples, fine-tune the network, export it, and fit the ranking of sentences on top."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from core.errors import InputError, SwitchyardError
from core.files import file_checksum
from core.types import Passage
from experts.check import check_questions
from retrieval.encoder import packaged_model
from retrieval.index import Index, assemble, corpus_hash, load, save
from retrieval.reader import MODEL, TOKENIZER, WEIGHTS, Reader
from retrieval.tokens import open_tokenizer
from training.reader import ranking
from training.reader.data import Example, cloze, of_expert, of_files, read_files, read_text, without_leaks

if TYPE_CHECKING:
    from graph.services import Services

TRAINING = "training.json"
TRAINED_TOKENS = 192
"""Longer pairs are cut in training: they cost much and there are few."""
OWN_TWICE = 2
"""So often the experts' own questions come in an epoch: they are fewer than those of the files, and what the reader is for."""
Progress = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train the network. questions: in a batch. wrong: passages beside the right one, drawn anew each epoch. rate: the highest one.

    answer_weight, null_weight: what the losses of "does it answer" and of "no answer here" count beside those of order and place.
    start: checksum of the network that it starts from, if not from the packaged encoder.
    Raises InputError for a rate that is no number to learn with.
    """

    epochs: int = 2
    questions: int = 8
    wrong: int = 3
    rate: float = 1e-4
    decay: float = 0.01
    answer_weight: float = 0.3
    null_weight: float = 0.1
    seed: int = 0
    start: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.rate):
            raise InputError(f"Expected --rate to be a number such as 1e-4; got {self.rate}.")


@dataclass(frozen=True, slots=True)
class Files:
    """More to learn from than the experts' questions: a corpus, questions on it, held-out questions on it, and text without questions."""

    corpus: Path | None = None
    qrels: Path | None = None
    dev: Path | None = None
    text: Path | None = None


def gather(shared: Services, files: Files, work: Path, seed: int, progress: Progress) -> tuple[list[Example], list[Example]]:
    """Examples to train on, and held-out ones. Raises InputError for files that cannot be used."""
    asked = {"train": files.qrels, "dev": files.dev}
    read = {split: read_files(files.corpus, path, split) for split, path in asked.items() if path} if files.corpus else {}
    text = read_text(files.text) if files.text else []  # all files are read before the mining: a fault in one must not come after it
    own: dict[str, list[Example]] = {}
    for split in ("train", "dev"):
        advance = progress(f"Mining {split}", sum(len(e.questions(split)) for e in shared.experts.values()))
        own[split] = [x for name, e in shared.experts.items() for x in of_expert(e, shared.index(name), shared.encoder, split, advance)]
        if not own[split]:
            raise InputError(
                f"Expected a `{split}` question whose key fact stands in its document; found none. Run: switchyard expert check NAME"
            )
    examples = {"train": own["train"] * OWN_TWICE, "dev": own["dev"]}
    if files.corpus:
        index = None
        for split, (passages, queries) in read.items():
            index = index or _index(shared, passages, files.corpus, work, progress)
            examples[split] += of_files(index, shared.encoder, queries, progress(f"Mining {split} of {files.corpus.name}", len(queries)))
    train, dev = examples["train"], examples["dev"]
    if files.text:
        index = _index(shared, text, files.text, work, progress)
        train += cloze(index, shared.encoder, seed, progress(f"Mining {files.text.name}", len(text)))
    return without_leaks(train, dev, shared.encoder, progress), dev


def train_reader(
    shared: Services,
    files: Files,
    recipe: Recipe,
    folder: Path,
    work: Path,
    *,
    start: Path | None = None,
    resume: bool,
    progress: Progress,
) -> tuple[dict[str, float], dict[str, float]]:
    """Train, fit the ranking, and only then replace the reader in `folder`.

    Gives the kept one's numbers on the held-out questions, as in `trainer.Progress.log`, and the ranking's. start: folder of a reader to
    train further; where nothing was better, it is kept, and the best epoch is 0. Raises InputError for files, a reader or a checkpoint that
    cannot be used, SwitchyardError for a full disk or a full GPU.
    """
    from training.reader.network import export, opened
    from training.reader.trainer import Trainer

    base = packaged_model()
    _check_questions(shared)
    network = opened(start, base) if start else None  # before the mining, which takes minutes
    recipe = replace(recipe, start=file_checksum(start / MODEL)) if start else recipe
    train, dev = gather(shared, files, work, recipe.seed, progress)
    tokenizer = open_tokenizer(base / TOKENIZER, TRAINED_TOKENS)
    trainer = Trainer(base, tokenizer, train, dev, recipe, work, start=network, resume=resume)
    advance = progress("Training", trainer.batches * recipe.epochs)
    advance(trainer.progress.epoch * trainer.batches + trainer.progress.batch)
    kept = trainer.run(lambda: advance(1))
    made = work / "made"
    made.mkdir(exist_ok=True)
    export(trainer.model, made / MODEL)
    shutil.copyfile(base / TOKENIZER, made / TOKENIZER)
    about = {"recipe": asdict(recipe), "data": trainer.data, "examples": len(train), "held_out": len(dev), "log": trainer.progress.log}
    (made / TRAINING).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    numbers = fit_ranking(shared, made, progress)
    put_in_service(made, folder)
    shutil.rmtree(work)
    return kept, numbers


def put_in_service(made: Path, folder: Path) -> None:
    """Replace the reader in `folder` by the one in `made`, once all of it lies on the same disk. Raises SwitchyardError."""
    names = (MODEL, TOKENIZER, TRAINING, WEIGHTS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".new-", dir=folder, ignore_cleanup_errors=True) as fresh:
            for name in names:
                shutil.copyfile(made / name, Path(fresh) / name)
            for name in names:
                (Path(fresh) / name).replace(folder / name)
    except OSError as error:
        raise SwitchyardError(f"Cannot write {folder}: {error.strerror}. Mend that; the same command with --resume goes on.") from None


def fit_ranking(shared: Services, folder: Path, progress: Progress) -> dict[str, float]:
    """Fit the ranking of sentences on top of the network in `folder`, and measure it on `test`. Raises InputError for too few questions."""
    _check_questions(shared)
    reader = Reader(folder, shared.encoder)
    found: dict[str, list[ranking.Read]] = {}
    for split, by, elsewhere in (("train", None, False), ("dev", reader, False), ("dev", reader, True), ("test", reader, False)):
        asked = [(name, other) for name in shared.experts for other in shared.experts if (name != other) == elsewhere]
        rows = {name: expert.questions(split) for name, expert in shared.experts.items()}
        key = "elsewhere" if elsewhere else split
        advance = progress(f"Reading {key}", sum(len(rows[name]) for name, _ in asked))
        found[key] = []
        for name, other in asked:
            found[key] += ranking.read(shared.expert(other), shared.index(other), shared.encoder, by, rows[name], advance)
    weights, numbers = ranking.fit(found["train"], found["dev"], found["elsewhere"])
    numbers["test"] = ranking.hit_rate(weights, found["test"])
    ranking.write(weights, numbers, "experts/*/questions.csv: fitted on train and dev, measured on test", folder / WEIGHTS)
    return numbers


def _check_questions(shared: Services) -> None:
    """The ranking is fitted last: what it lacks must not be found after an hour of training. Raises InputError."""
    check_questions(shared.experts.values(), "train", 1)
    check_questions(shared.experts.values(), "dev", ranking.FOLDS)
    if len({(name, passage.document) for name in shared.experts for passage in shared.index(name).passages}) < 2:
        raise InputError("Expected two documents or more: a question read without its own shows what there being no answer looks like.")


def _index(shared: Services, passages: Sequence[Passage], source: Path, work: Path, progress: Progress) -> Index:
    """Kept beside the checkpoints: a training that is resumed need not embed the corpus again."""
    folder = work / f"index-{corpus_hash([source], shared.encoder.fingerprint)}"
    if not (folder / "manifest.json").exists():
        save(assemble(passages, shared.encoder, progress=progress("Embedding passages", len(passages))), folder)
    return load(folder)
