"""An expert's index: opened, built when it is missing, stale or corrupt, refused when another encoder wrote it.

An index that several machines share is not built anew because the documents of one of them differ: while a new release reaches one after
the other they would undo each other's work. There `switchyard index` says which documents count.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext

from core.errors import DocumentError, IndexFault
from core.types import Passage
from experts.discovery import Expert
from retrieval import index as store
from retrieval.chunking import chunk
from retrieval.embedding import Encode
from retrieval.encoder import Encoder
from retrieval.indexes import FolderIndexes, Indexes
from retrieval.loaders import load_folder


def open_index(expert: Expert, encoder: Encoder, indexes: Indexes) -> store.Index:
    """The expert's index, built first where that is needed, with one line on stderr.

    Of several processes that find it missing, one builds it, and the others wait. Raises IndexFault when another encoder wrote it, or it
    cannot be written; DocumentError when it has to be built of documents that cannot be read.
    """
    index, _ = _opened(expert, encoder, indexes)
    if index:
        return index
    with store.building(indexes.root / expert.name) if isinstance(indexes, FolderIndexes) else nullcontext():
        index, state = _opened(expert, encoder, indexes)  # another process may have built it meanwhile
        if index:
            return index
        return build_index(expert, encoder, indexes, why=state)


def _opened(expert: Expert, encoder: Encoder, indexes: Indexes) -> tuple[store.Index | None, str]:
    """The index, None where it has to be built, and its state. Raises IndexFault when another encoder wrote it."""
    state = index_state(expert, encoder, indexes)
    if state == "foreign":
        raise IndexFault(
            f"The index of {expert.name} was written by another encoder (expected {encoder.fingerprint}). "
            f"Run: switchyard index {expert.name} --force"
        )
    if state == "ok" or (state == "stale" and indexes.shared):
        try:
            return indexes.load(expert.name), state
        except IndexFault:
            state = "corrupt"
    return None, state


def build_index(
    expert: Expert,
    encoder: Encoder,
    indexes: Indexes,
    progress: Callable[[int], None] = lambda _: None,
    encode: Encode | None = None,
    why: str = "",
) -> store.Index:
    """Build, save and reopen the expert's index. The fusion weight is chosen on its `train` questions. For `encode` see `assemble`.

    `why`: where given, stderr is told, once the documents are read. Raises DocumentError where they cannot be.
    """
    corpus = _corpus(expert)  # first: a document that is edited meanwhile must make the index stale
    passages = _passages(expert)
    questions = [(item.question, item.document) for item in expert.questions("train")]
    if why:
        print(f"Building the index of {expert.name} ({why}) ...", file=sys.stderr)
    built = store.assemble(passages, encoder, corpus=corpus, questions=questions, progress=progress, encode=encode, hold=indexes.hold)
    indexes.save(built, expert.name)
    return indexes.load(expert.name)


def unbuildable(expert: Expert, indexes: Indexes) -> str | None:
    """Why no index of the expert can be built, in one line: a document that cannot be read, or a file in the folder's place."""
    try:
        _passages(expert)
        expert.questions("train")
    except DocumentError as error:
        return str(error)
    return indexes.fault(expert.name)


def index_state(expert: Expert, encoder: Encoder, indexes: Indexes, *, whole: bool = False) -> str:
    """`ok`, `missing`, `stale`, `foreign` or `corrupt` (of the last only a broken manifest is seen unless `whole`)."""
    manifest = indexes.manifest(expert.name)
    if manifest is None:
        return "corrupt" if indexes.damage(expert.name) else "missing"
    if manifest.format != store.FORMAT:
        return "missing"
    if manifest.encoder != encoder.fingerprint:
        return "foreign"
    if manifest.corpus != _corpus(expert):
        return "stale"
    if whole and indexes.damage(expert.name):
        # What was looked at while another process replaced it is not damaged.
        return "corrupt" if indexes.manifest(expert.name) == manifest else index_state(expert, encoder, indexes, whole=True)
    return "ok"


def _passages(expert: Expert) -> list[Passage]:
    """The expert's documents in pieces. Raises DocumentError where one cannot be read, or none has a text."""
    passages = chunk(load_folder(expert.corpus))
    if not passages:
        raise DocumentError(f"Expected at least one document with text in {expert.corpus}; found none. Put documents there.")
    return passages


def _corpus(expert: Expert) -> str:
    return store.corpus_hash(expert.depends_on())
