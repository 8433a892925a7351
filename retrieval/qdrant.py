"""Qdrant as a vector store, and its faults in one line. qdrant_indexes.py keeps whole indexes in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
from pydantic import SecretStr
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from core.errors import IndexFault, StoreError
from retrieval.encoder import Vectors
from retrieval.vectors import FLAT_LIMIT, Cosines, FaissStore, Ids, check_shape

TIMEOUT_S = 10
READ = 1024
Result = TypeVar("Result")


def connect(url: str, key: SecretStr | None) -> QdrantClient:
    """A client, which connects when it is first used. The key is sent as the header `api-key` and shown nowhere."""
    headers = {"api-key": key.get_secret_value()} if key else None
    return QdrantClient(url=url, headers=headers, timeout=TIMEOUT_S, check_compatibility=False)


def asked(call: Callable[..., Result], *arguments: Any, **keywords: Any) -> Result:
    """What a method of the client returns; tried twice, because a connection that was kept open may have been closed at the other end.

    Raises StoreError when Qdrant does not answer or refuses, IndexFault when the collection is gone.
    """
    for last in (False, True):
        try:
            return call(*arguments, **keywords)
        except ResponseHandlingException as error:
            if last or not isinstance(error.source, httpx.NetworkError | httpx.RemoteProtocolError):
                reason = str(error.source).splitlines()[0] if str(error.source) else type(error.source).__name__
                raise StoreError(f"Qdrant did not answer: {reason}. Check SWITCHYARD_QDRANT_URL, and that it runs there.") from None
        except UnexpectedResponse as error:
            if error.status_code == 404:
                raise IndexFault("Qdrant no longer holds this index: another took its place meanwhile. Try again.") from None
            if error.status_code in (401, 403):
                raise StoreError("Qdrant refused the key. Set QDRANT_API_KEY to one that may read and write.") from None
            raise StoreError(f"Qdrant answered {error.status_code} {error.reason_phrase}. Its log says more.") from None
        except ResourceExhaustedResponse:
            raise StoreError("Qdrant is overloaded (429). Try again later.") from None
    raise AssertionError("unreachable")


class QdrantStore:
    """The vectors of one collection. Exact up to FLAT_LIMIT vectors, as FAISS is; above it by Qdrant's HNSW graph."""

    def __init__(self, client: QdrantClient, collection: str, size: int, dimensions: int) -> None:
        self._client, self._collection, self._size, self._dimensions = client, collection, size, dimensions

    def __len__(self) -> int:
        return self._size

    def search(self, vector: Vectors, k: int) -> tuple[Ids, Cosines]:
        """See `VectorStore.search`."""
        return self._nearest(vector, min(k, self._size), exact=self._size <= FLAT_LIMIT)

    def cosines(self, ids: Ids, vector: Vectors) -> Cosines:
        """See `VectorStore.cosines`."""
        known, place = np.unique(ids, return_inverse=True)
        only = models.Filter(must=[models.HasIdCondition(has_id=known.tolist())])
        found, scores = self._nearest(vector, len(known), exact=True, query_filter=only)
        order = np.argsort(found)
        self._check_found(found[order], known)
        return scores[order][place]

    def vectors(self, ids: Ids) -> Vectors:
        """See `VectorStore.vectors`."""
        known, place = np.unique(ids, return_inverse=True)
        parts = [known[start : start + READ].tolist() for start in range(0, len(known), READ)]
        points = [p for part in parts for p in asked(self._client.retrieve, self._collection, part, with_payload=False, with_vectors=True)]
        points.sort(key=lambda point: int(point.id))
        self._check_found(np.array([p.id for p in points], np.int64), known)
        return np.array([p.vector for p in points], np.float32).reshape(-1, self._dimensions)[place]

    def save(self, path: Path) -> None:
        """See `VectorStore.save`."""
        FaissStore.build(self.vectors(np.arange(self._size))).save(path)

    def _nearest(self, vector: Vectors, k: int, *, exact: bool, query_filter: models.Filter | None = None) -> tuple[Ids, Cosines]:
        check_shape(vector, self._dimensions)
        if k == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        found = asked(
            self._client.query_points,
            self._collection,
            query=vector.tolist(),
            limit=k,
            query_filter=query_filter,
            search_params=models.SearchParams(exact=exact),
            with_payload=False,
        ).points
        return np.array([p.id for p in found], np.int64), np.array([p.score for p in found], np.float32)

    def _check_found(self, found: Ids, known: Ids) -> None:
        if not np.array_equal(found, known):
            raise IndexFault(f"Collection {self._collection} in Qdrant has lost points. Run: switchyard index --force")
