"""What the files are about: the documents of the expert whose questions they are, or those that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import DocumentError, InputError
from evaluation.results import Progress
from experts.discovery import Expert, load_expert
from retrieval.chunking import chunk
from retrieval.index import Index, assemble
from retrieval.loaders import load_file, load_folder
from training.prepare.places import Corpus

if TYPE_CHECKING:
    from graph.services import Services


@dataclass(frozen=True, slots=True)
class Batch:
    """Files whose rows are prepared together, and the expert in whose folder one of them lies, if any does."""

    name: str
    files: list[Path]
    expert: Expert | None = None


def batches(files: Sequence[Path]) -> list[Batch]:
    """One batch an expert; files of no expert join the only one.

    Raises InputError when a file is named twice, or is of no expert while several experts' files are named.
    """
    if len({file.resolve() for file in files}) < len(files):
        raise InputError("Expected each file once; one is named twice.")
    owned: dict[Path, list[Path]] = {}
    loose = []
    for file in files:
        folder = file.resolve().parent
        if (folder / "expert.toml").exists():
            owned.setdefault(folder, []).append(file)
        else:
            loose.append(file)
    if loose and len(owned) > 1:
        raise InputError(f"Expected one expert's questions beside {loose[0]}; got {len(owned)} experts'. Prepare one expert at a time.")
    experts = [load_expert(folder) for folder in owned]
    if len(experts) > 1:
        return [Batch(expert.name, owned[expert.folder], expert) for expert in experts]
    return [Batch(experts[0].name if experts else files[0].stem, list(files), experts[0] if experts else None)]


def open_corpus(source: Expert | Path, services: Services, progress: Progress) -> Corpus:
    """The documents of an expert, in a folder, or in one file. Raises InputError without any, and for a file that cannot be read."""
    folder = source if isinstance(source, Path) else source.corpus
    if not folder.exists():
        raise InputError(f"Expected documents at {folder}, a folder or a file of passages; there is nothing.")
    try:
        passages = chunk(load_folder(folder) if folder.is_dir() else load_file(folder))
    except DocumentError as error:  # a file that the user named
        raise InputError(str(error)) from None
    if not passages:
        raise InputError(f"Expected documents with text in {folder}; found none.")

    def index() -> Index:
        known = None if isinstance(source, Path) else services.experts.get(source.name)
        if known and known.folder.resolve() == folder.parent.resolve():
            return services.index(known.name)
        return assemble(passages, services.encoder, progress=progress("Indexing the documents", len(passages)))

    return Corpus(passages, index, services.encoder)
