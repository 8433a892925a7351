"""Where finished indexes are kept, each under a name: a folder of this machine, or Qdrant for several (see qdrant_indexes.py)."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Protocol

from core.errors import IndexFault
from core.settings import Settings
from retrieval import index as files
from retrieval.encoder import Encoder, Vectors
from retrieval.index import Index, Manifest
from retrieval.vectors import FaissStore, VectorStore


class Indexes(Protocol):
    """Named indexes. All but `fault` raise StoreError when another machine keeps them and does not answer."""

    shared: bool
    """Whether other machines read them too. What is shared is only replaced when somebody says so, never on first use."""

    def manifest(self, name: str) -> Manifest | None:
        """What the index was made of, or None where there is no whole one."""

    def version(self, name: str) -> Hashable:
        """Changes when another index is saved under the name, by whomever; cheap enough to be asked for every question."""

    def hold(self, vectors: Vectors) -> VectorStore:
        """The vectors of an index that is being built, shape (n, dimensions), as they are held until it is saved."""

    def save(self, index: Index, name: str) -> None:
        """Put `index` in the place of the one before, whole or not at all; whoever reads that one finishes on it. Raises IndexFault."""

    def load(self, name: str) -> Index:
        """Open an index. Raises IndexFault when it is missing or broken."""

    def damage(self, name: str) -> list[str]:
        """What of an index is broken, everything being looked at; nothing where all is well."""

    def fault(self, name: str) -> str | None:
        """Why no index can be saved under the name, in one line, as far as that can be known beforehand."""


class FolderIndexes:
    """A folder for each index below `root`; see index.py."""

    shared = False
    hold = staticmethod(FaissStore.build)

    def __init__(self, root: Path) -> None:
        self.root = root

    def manifest(self, name: str) -> Manifest | None:
        """See `Indexes.manifest`."""
        return Manifest.read(self.root / name)

    def version(self, name: str) -> Hashable:
        """When the manifest, the last of the files, was written."""
        try:
            return (self.root / name / "manifest.json").stat().st_mtime_ns
        except OSError:
            return None

    def save(self, index: Index, name: str) -> None:
        """See `Indexes.save`."""
        files.save(index, self.root / name)

    def load(self, name: str) -> Index:
        """See `Indexes.load`."""
        return files.load(self.root / name)

    def damage(self, name: str) -> list[str]:
        """The names of broken files."""
        folder, manifest = self.root / name, self.manifest(name)
        if manifest is None:
            return ["manifest.json"] if (folder / "manifest.json").exists() else []
        return files.broken_files(folder, manifest, whole=True)

    def fault(self, name: str) -> str | None:
        """A file in the folder's place."""
        in_the_way = next((p for p in (self.root, self.root / name) if p.exists() and not p.is_dir()), None)
        return f"{in_the_way}: expected a folder for the index; that is a file. Move it away." if in_the_way else None


def open_indexes(settings: Settings, encoder: Encoder) -> Indexes:
    """Where the settings say that indexes are kept. Opens no connection yet. Raises IndexFault when Qdrant's client is not installed."""
    if settings.qdrant_url is None:
        return FolderIndexes(settings.indexes_dir)
    try:
        from retrieval.qdrant import connect
        from retrieval.qdrant_indexes import QdrantIndexes
    except ImportError as error:
        raise IndexFault(
            f"SWITCHYARD_QDRANT_URL is set, but its client is missing ({error.name}). Run: pip install -c constraints.txt qdrant-client"
        ) from None
    return QdrantIndexes(connect(settings.qdrant_url, settings.qdrant_api_key), encoder.fingerprint)
