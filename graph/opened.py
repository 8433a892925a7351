"""The experts' indexes, each opened on first use, and anew once it was rebuilt."""

from __future__ import annotations

from collections.abc import Hashable
from threading import Lock
from typing import TYPE_CHECKING

from experts.indexes import open_index
from retrieval.index import Index

if TYPE_CHECKING:
    from graph.services import Services


class OpenIndexes:
    """One per `Services`. While one index is built, which may take minutes, the others answer."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: dict[str, tuple[Hashable, Index]] = {}
        self._lock = Lock()
        self._locks: dict[str, Lock] = {}

    def index(self, name: str) -> Index:
        """See `Services.index`."""
        kept = self._kept.get(name)
        if kept and kept[0] == self._services.indexes.version(name):
            return kept[1]
        expert = self._services.expert(name)
        with self._lock:  # two first looks at once would make two stores
            lock, indexes = self._locks.setdefault(name, Lock()), self._services.indexes
        if not lock.acquire(blocking=kept is None):
            assert kept
            return kept[1]
        try:
            version = indexes.version(name)  # before it is opened: what is saved meanwhile is opened at the next question
            if (kept := self._kept.get(name)) is None or kept[0] != version:
                index = open_index(expert, self._services.encoder, indexes)
                self._kept[name] = kept = (version or indexes.version(name), index)
            return kept[1]
        finally:
            lock.release()
