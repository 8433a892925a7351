"""An expert's index: opened, built when it is missing, stale or corrupt, refused when another encoder wrote it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from core.errors import DocumentError, IndexFault
from experts.discovery import Expert
from retrieval import index as store
from retrieval.chunking import chunk
from retrieval.encoder import Encoder
from retrieval.loaders import load_folder


def open_index(expert: Expert, encoder: Encoder, folder: Path) -> store.Index:
    """The expert's index under `folder`, built first where that is needed, with one line on stderr.

    Raises IndexFault when another encoder wrote it, or it cannot be written.
    """
    state = index_state(expert, encoder, folder)
    if state == "foreign":
        raise IndexFault(
            f"The index of {expert.name} was written by another encoder (expected {encoder.fingerprint}). "
            f"Run: switchyard index {expert.name} --force"
        )
    if state == "ok":
        try:
            return store.load(folder / expert.name)
        except IndexFault:
            state = "corrupt"
    print(f"Building the index of {expert.name} ({state}) ...", file=sys.stderr)
    return build_index(expert, encoder, folder)


def build_index(expert: Expert, encoder: Encoder, folder: Path, progress: Callable[[int], None] = lambda _: None) -> store.Index:
    """Build, save and reopen the expert's index. The fusion weight is chosen on its `train` questions."""
    corpus = _corpus(expert)  # first: a document that is edited meanwhile must make the index stale
    passages = chunk(load_folder(expert.corpus))
    questions = [(item.question, item.document) for item in expert.questions("train")]
    built = store.assemble(passages, encoder, corpus=corpus, questions=questions, progress=progress)
    store.save(built, folder / expert.name)
    return store.load(folder / expert.name)


def unbuildable(expert: Expert, folder: Path) -> str | None:
    """Why no index of the expert can be built in `folder`, in one line: a document that cannot be read, or a file in the folder's place."""
    try:
        passages = chunk(load_folder(expert.corpus))
        expert.questions("train")
    except DocumentError as error:
        return str(error)
    if not passages:
        return f"Expected at least one document with text in {expert.corpus}; found none. Put documents there."
    in_the_way = next((p for p in (folder, folder / expert.name) if p.exists() and not p.is_dir()), None)
    return f"{in_the_way}: expected a folder for the index; that is a file. Move it away." if in_the_way else None


def index_state(expert: Expert, encoder: Encoder, folder: Path, *, whole: bool = False) -> str:
    """`ok`, `missing`, `stale`, `foreign` or `corrupt` (the last only looked for when `whole`)."""
    manifest = store.Manifest.read(folder / expert.name)
    if manifest is None or manifest.format != store.FORMAT:
        return "missing"
    if manifest.encoder != encoder.fingerprint:
        return "foreign"
    if manifest.corpus != _corpus(expert):
        return "stale"
    if whole and store.broken_files(folder / expert.name, manifest, whole=True):
        return "corrupt"
    return "ok"


def _corpus(expert: Expert) -> str:
    return store.corpus_hash(expert.depends_on())
