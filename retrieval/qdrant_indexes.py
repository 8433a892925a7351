"""Indexes in Qdrant (1.16 or newer), for workers on several machines that keep nothing of their own.

An index is one collection: a point for each vector, numbered as the rows are; the point of a passage's whole text carries the passage as
its payload; the manifest is the collection's metadata. A worker that opens it reads the payloads once and makes `rows` and BM25 of them
in memory: BM25 needs the score of any passage, not only of those it finds itself, and made from the same texts it is the same on every
machine. The vectors stay in Qdrant, which is exact up to as many vectors as FAISS is, so both stores find the same.

A collection is written under a name of its own and counted before an alias is turned to it: readers of the alias see the old index or the
new one. An open index holds on to its collection, not to the alias, and so finishes on the old one, which is removed by a later build,
GRACE_S after it was replaced at the earliest. The alias names the encoder and the format: releases with different ones do not meet.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from core.errors import IndexFault, StoreError
from core.types import Passage
from retrieval.encoder import Vectors
from retrieval.index import FORMAT, Index, Manifest, embedded_text
from retrieval.lexical import Lexical
from retrieval.qdrant import QdrantStore, asked
from retrieval.vectors import FaissStore, Ids

GRACE_S = 600.0
"""So long a replaced collection stays for those who still read it: longer than any turn."""
ABANDONED_S = 86_400.0
"""After so long a collection that no alias ever pointed to is what a killed build left."""
LOOK_S = 5.0
"""So often at most a worker looks for a newer index."""
UPLOADED, READ = 256, 1024


@dataclass(frozen=True, slots=True)
class _Collection:
    """What a collection's metadata says. `created_at`, `retired_at`: seconds since the epoch; the latter is 0 before it was replaced."""

    name: str
    manifest: Manifest
    vectors: int
    dimensions: int
    created_at: float
    retired_at: float = 0.0


class QdrantIndexes:
    """See `retrieval.indexes.Indexes`. The indexes of one encoder, by its fingerprint."""

    shared = True
    # What is uploaded must not be rounded first.
    hold = staticmethod(FaissStore.exact)

    def __init__(self, client: QdrantClient, fingerprint: str) -> None:
        self._client = client
        self._kind = f"{FORMAT}-{sha256(fingerprint.encode()).hexdigest()[:8]}"
        self._aliases: dict[str, str] = {}
        self._looked_at = -LOOK_S

    def manifest(self, name: str) -> Manifest | None:
        """See `Indexes.manifest`."""
        found = self._current(name)
        return found.manifest if found else None

    def version(self, name: str) -> Hashable:
        """The collection that the alias points to, as of at most LOOK_S ago; while Qdrant does not answer, the one that was last seen."""
        if time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()  # first: one thread looks, and the others go on
            try:
                self._look()
            except StoreError:
                if self._alias(name) not in self._aliases:
                    raise
        return self._aliases.get(self._alias(name))

    def save(self, index: Index, name: str) -> None:
        """See `Indexes.save`. Also removes what earlier builds left."""
        before, alias, now = self._current(name), self._alias(name), time.time()
        vectors = index.vectors.vectors(np.arange(len(index.vectors)))
        fresh = _Collection(f"{alias}.{time.time_ns():x}", index.manifest, len(vectors), vectors.shape[1], now)
        self._upload(fresh, vectors, index.passages, index.rows)
        if before:
            asked(self._client.update_collection, before.name, metadata=asdict(replace(before, retired_at=now)))
        turn = models.CreateAlias(collection_name=fresh.name, alias_name=alias)
        asked(self._client.update_collection_aliases, [models.CreateAliasOperation(create_alias=turn)])
        self._look()
        self._sweep(alias, now)

    def load(self, name: str) -> Index:
        """See `Indexes.load`. Reads all passages, a few thousand a second."""
        found = self._current(name)
        if found is None:
            raise IndexFault(f"Qdrant holds no index of {name}.")
        passages: list[Passage] = []
        rows: list[int] = []
        at: Any = 0
        while at is not None:
            points, at = asked(self._client.scroll, found.name, limit=READ, offset=at)
            for point in points:
                if point.payload:
                    passages.append(_passage(point.payload))
                    rows.append(int(point.id))
        if len(passages) != found.manifest.passages:
            raise IndexFault(f"The index of {name} in Qdrant is corrupt: {len(passages)} of {found.manifest.passages} passages.")
        store = QdrantStore(self._client, found.name, found.vectors, found.dimensions)
        lexical = Lexical.build([embedded_text(p) for p in passages])
        return Index(found.manifest, passages, store, np.array([*rows, found.vectors], np.int64), lexical)

    def damage(self, name: str) -> list[str]:
        """How many points are missing."""
        found = self._current(name)
        there = asked(self._client.count, found.name).count if found else 0
        return [f"{there} of {found.vectors} points"] if found and there != found.vectors else []

    def fault(self, name: str) -> str | None:
        """Nothing is in the way that could be seen before Qdrant is asked."""
        return None

    def server(self) -> str:
        """Which Qdrant answers. Raises StoreError when none does."""
        return f"Qdrant {asked(self._client.info).version}"

    def _alias(self, name: str) -> str:
        return f"switchyard.{name}.{self._kind}"

    def _look(self) -> None:
        self._aliases = {a.alias_name: a.collection_name for a in asked(self._client.get_aliases).aliases}
        self._looked_at = time.monotonic()

    def _current(self, name: str) -> _Collection | None:
        self._look()
        collection = self._aliases.get(self._alias(name))
        return self._described(collection) if collection else None

    def _described(self, collection: str) -> _Collection | None:
        """What a collection says of itself; None for one that was not made here."""
        said = asked(self._client.get_collection, collection).config.metadata or {}
        try:
            return _Collection(**{**said, "manifest": Manifest(**said["manifest"])})
        except (KeyError, TypeError):
            return None

    def _upload(self, fresh: _Collection, vectors: Vectors, passages: Sequence[Passage], rows: Ids) -> None:
        """Write a whole collection, each point acknowledged. Raises StoreError."""
        asked(
            self._client.create_collection,
            fresh.name,
            vectors_config=models.VectorParams(size=fresh.dimensions, distance=models.Distance.DOT),
            metadata=asdict(fresh),
        )
        if self._described(fresh.name) is None:
            raise StoreError("Qdrant does not keep a collection's metadata. Expected Qdrant 1.16 or newer.")
        payloads: list[dict[str, Any]] = [{} for _ in range(fresh.vectors)]
        for row, passage in zip(rows[:-1], passages, strict=True):
            payloads[row] = asdict(passage)
        for start in range(0, fresh.vectors, UPLOADED):
            ids = list(range(start, min(start + UPLOADED, fresh.vectors)))
            batch = models.Batch(ids=ids, vectors=vectors[ids].tolist(), payloads=[payloads[i] for i in ids])
            asked(self._client.upsert, fresh.name, batch, wait=True)
        if (there := asked(self._client.count, fresh.name).count) != fresh.vectors:
            raise StoreError(f"Qdrant kept {there} of {fresh.vectors} points. Its log says more.")

    def _sweep(self, alias: str, now: float) -> None:
        """Remove what was replaced GRACE_S ago, and what a killed build left."""
        names = [c.name for c in asked(self._client.get_collections).collections if c.name.startswith(f"{alias}.")]
        for name in names:
            try:
                found = self._described(name)
            except IndexFault:  # another machine has removed it just now
                continue
            if found is None or name == self._aliases.get(alias):
                continue
            if now - found.retired_at > GRACE_S if found.retired_at else now - found.created_at > ABANDONED_S:
                asked(self._client.delete_collection, name)


def _passage(payload: dict[str, Any]) -> Passage:
    try:
        return Passage(**payload)
    except TypeError:
        raise IndexFault(f"Qdrant holds something else than a passage: {sorted(payload)}. Run: switchyard index --force") from None
