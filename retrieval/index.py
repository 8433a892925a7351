"""An index: passages, their vectors and their words in one folder, described by a manifest that is written last.

    <folder>/{passages.jsonl, passages.npy, vectors.faiss, rows.npy, bm25/..., manifest.json}

A passage has one vector of its whole text and, in corpora of up to 20,000 passages, one for each of its sentences: its dense score is the
mean of the cosine of the whole and that of its best sentence, which finds a fact in a passage about more than that fact.

A folder without a whole manifest is no index. Files are replaced by renaming under a lock, so a reader that has mapped the old
ones keeps them. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core.errors import DocumentError, IndexFault
from core.files import file_checksum, write_json
from core.types import Hit, Passage
from retrieval.embedding import Encode
from retrieval.encoder import Encoder, Vectors
from retrieval.fusion import DEFAULT_WEIGHT, choose_weight, fuse
from retrieval.lexical import Lexical
from retrieval.passages import PassageFile
from retrieval.text import sentences
from retrieval.vectors import FaissStore, VectorStore

FORMAT = 3
"""Raised whenever the files change, or the passages or sentences that the same documents become."""
CANDIDATES = 100
SENTENCE_LIMIT = 20_000
_CHECKED_WHOLE = 64 << 20
Floats = NDArray[np.float32]
Question = tuple[str, str]
"""(text, id of the document that answers it)"""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index was made of. `dense_weight` is the fusion's, in [0, 1]; checksums are SHA-256."""

    format: int
    encoder: str
    corpus: str
    passages: int
    documents: int
    dense_weight: float
    checksums: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The folder's manifest, or None where there is no whole one. Waits for whoever is replacing the index."""
        found = _manifest(folder)
        with suppress(OSError):
            if found is None and folder.is_dir():
                with _lock(folder):
                    found = _manifest(folder)
        return found


class Candidates(NamedTuple):
    """Passages that either part of the search finds, one entry each.

    ids: their numbers. cosines: of their whole texts. dense, lexical: the scores of both parts. sentences: the cosines of their sentences.
    """

    ids: NDArray[np.int64]
    cosines: Floats
    dense: Floats
    lexical: Floats
    sentences: list[Floats]


class Index:
    """Search over one folder of documents."""

    def __init__(
        self, manifest: Manifest, passages: Sequence[Passage], vectors: VectorStore, rows: NDArray[np.int64], lexical: Lexical
    ) -> None:
        """`rows[n]` is the first of passage n's vectors, that of its whole text; its sentences' follow; `rows[-1]` is their number."""
        self.manifest = manifest
        self.passages = passages
        self.vectors = vectors
        self.rows = rows
        self.lexical = lexical

    def search(self, question: str, vector: Vectors, k: int, *, weight: float | None = None) -> list[Hit]:
        """The `k` best passages, best first. `vector` is the question's, shape (dimensions,); `weight` overrides the index's own."""
        found = self.candidates(question, vector)
        fused = fuse(found.dense, found.lexical, self.manifest.dense_weight if weight is None else weight)
        best = np.argsort(-fused, kind="stable")[:k]
        return [
            Hit(self.passages[int(found.ids[i])], float(fused[i]), float(found.cosines[i]), tuple(found.sentences[i].tolist()))
            for i in best
        ]

    def candidates(self, question: str, vector: Vectors) -> Candidates:
        """What either part finds, not yet in order."""
        near, _ = self.vectors.search(vector, CANDIDATES)
        lexical = self.lexical.scores(question)
        k = min(CANDIDATES, len(lexical))
        worded = np.argpartition(-lexical, k - 1)[:k]
        ids = np.union1d(np.searchsorted(self.rows, near, side="right") - 1, worded[lexical[worded] > 0])
        spans = [np.arange(self.rows[i], self.rows[i + 1]) for i in ids]
        scores = self.vectors.cosines(np.concatenate(spans), vector)
        first = np.cumsum([0, *(len(span) for span in spans[:-1])])
        cosines = scores[first]
        dense = (cosines + np.maximum.reduceat(scores, first)) / 2
        return Candidates(ids, cosines, dense, lexical[ids], [own[1:] for own in np.split(scores, first[1:])])


def embedded_text(passage: Passage) -> str:
    """What stands for a passage in both parts: its title and its text."""
    return f"{passage.title}. {passage.text}" if passage.title else passage.text


def assemble(
    passages: Sequence[Passage],
    encoder: Encoder,
    *,
    corpus: str = "",
    questions: Sequence[Question] = (),
    progress: Callable[[int], None] = lambda _: None,
    encode: Encode | None = None,
    hold: Callable[[Vectors], VectorStore] = FaissStore.build,
) -> Index:
    """Build an index in memory. `progress` is called with the number of passages just embedded.

    encode: encodes the passages in the encoder's place, see `embedding.encoding`. hold: makes the store of the vectors, see `Indexes.hold`.
    Raises IndexFault when there is nothing to index.
    """
    if not passages:
        raise IndexFault("Expected at least one document with text; found none. Put documents into the expert's corpus folder.")
    texts = [embedded_text(p) for p in passages]
    with_sentences = len(passages) <= SENTENCE_LIMIT
    groups = [[text, *(sentences(p.text) if with_sentences else [])] for p, text in zip(passages, texts, strict=True)]
    vectors = []
    for group in encode(groups) if encode else map(encoder.encode, groups):
        vectors.append(group)
        progress(1)
    rows = np.cumsum([0, *(len(v) for v in vectors)])
    store, lexical = hold(np.concatenate(vectors)), Lexical.build(texts)
    documents = len({p.document for p in passages})
    draft = Manifest(FORMAT, encoder.fingerprint, corpus, len(passages), documents, DEFAULT_WEIGHT, {})
    weight = tuned_weight(Index(draft, passages, store, rows, lexical), encoder, questions)
    return Index(replace(draft, dense_weight=weight), passages, store, rows, lexical)


def tuned_weight(index: Index, encoder: Encoder, questions: Sequence[Question]) -> float:
    """The fusion weight that ranks the right document best on `questions`."""
    found = [(index.candidates(text, encoder.encode([text])[0]), document) for text, document in questions]
    documents = [[index.passages[int(i)].document for i in candidates.ids] for candidates, _ in found]

    def rank(q: int, weight: float) -> int | None:
        candidates, right = found[q]
        order = np.argsort(-fuse(candidates.dense, candidates.lexical, weight), kind="stable")
        return next((n for n, i in enumerate(order, 1) if documents[q][i] == right), None)

    return choose_weight(rank, range(len(found)))


def save(index: Index, folder: Path) -> None:
    """Write `index` to `folder`, whole or not at all. Raises IndexFault when the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            for left in folder.glob(".new-*"):  # by a process that was killed here
                shutil.rmtree(left, ignore_errors=True)
            _write(index, folder, Path(mkdtemp(prefix=".new-", dir=folder)))
    except (OSError, RuntimeError) as error:  # FAISS raises RuntimeError when the disk is full.
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise IndexFault(
            f"Cannot write the index to {folder}: {reason}. Free the folder, or set SWITCHYARD_INDEXES to a writable one."
        ) from None


def _write(index: Index, folder: Path, fresh: Path) -> None:
    """Write everything to `fresh`, then move it to `folder`, the manifest last."""
    try:
        PassageFile.write(fresh, index.passages)
        index.vectors.save(fresh / "vectors.faiss")
        np.save(fresh / "rows.npy", index.rows)
        index.lexical.save(fresh / "bm25")
        checksums = {p.relative_to(fresh).as_posix(): file_checksum(p) for p in sorted(fresh.rglob("*")) if p.is_file()}
        (folder / "manifest.json").unlink(missing_ok=True)
        (folder / "bm25").mkdir(exist_ok=True)
        for name in checksums:
            (fresh / name).replace(folder / name)
        write_json(folder / "manifest.json", asdict(replace(index.manifest, checksums=checksums)))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def building(folder: Path) -> AbstractContextManager[object]:
    """Held by the process that builds the folder's index, so that the others wait for it; by nobody where nothing can be written."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return _lock(folder, ".building")
    return nullcontext()


def _lock(folder: Path, name: str = ".lock") -> AbstractContextManager[object]:
    return FileLock(folder / name) if os.access(folder, os.W_OK) else nullcontext()


def _manifest(folder: Path) -> Manifest | None:
    try:
        return Manifest(**json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def load(folder: Path) -> Index:
    """Open a saved index without reading it whole.

    Raises IndexFault when it is missing, half-written or corrupt: the message says which.
    """
    with _lock(folder):
        manifest = _manifest(folder)
        if manifest is None:
            raise IndexFault(f"{folder} holds no index.")
        if broken := broken_files(folder, manifest):
            raise IndexFault(f"The index in {folder} is corrupt: {', '.join(broken)}.")
        try:
            store = FaissStore.load(folder / "vectors.faiss")
            rows = np.load(folder / "rows.npy", mmap_mode="r")
            return Index(manifest, PassageFile(folder), store, rows, Lexical.load(folder / "bm25"))
        except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
            raise IndexFault(f"The index in {folder} is corrupt: {str(error).splitlines()[0]}.") from None


def broken_files(folder: Path, manifest: Manifest, *, whole: bool = False) -> list[str]:
    """Files whose checksum is not the manifest's. Files over 64 MiB are read only when `whole`."""

    def broken(name: str, expected: str) -> bool:
        path = folder / name
        if not path.is_file():
            return True
        return (whole or path.stat().st_size <= _CHECKED_WHOLE) and file_checksum(path) != expected

    return [name for name, expected in manifest.checksums.items() if broken(name, expected)]


def corpus_hash(files: Sequence[Path], extra: str = "") -> str:
    """Changes when a file's content, or its place among the others, does. `extra` is what else the index depends on.

    Raises DocumentError when a file cannot be read.
    """
    # The 2 stays: the routers that ship know their examples by this hash, whatever the format of indexes is.
    digest = hashlib.sha256(f"2:{extra}".encode())
    root = os.path.commonpath([path.parent for path in files]) if files else ""
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DocumentError(f"{path} cannot be read: {error.strerror}. Mend it, or move it out of the corpus.") from None
        digest.update(b"%s\0%d\0" % (os.fsencode(path.relative_to(root)), len(content)) + content)
    return digest.hexdigest()[:16]
