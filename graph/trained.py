"""The routers that were trained: where they are kept, opened on first use, and refused when they are not for the present experts."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from core.errors import IndexFault
from core.types import OUT_OF_SCOPE
from experts.discovery import has_out_of_scope
from experts.examples import router_examples
from graph.routers.base import Router
from graph.routers.documents import document_features
from graph.routers.kinds import BASELINES, EMBEDDED, check_kind, load_router, new_router
from graph.routers.saved import ABOUT, mend, read_about
from retrieval.encoder import Encoder

if TYPE_CHECKING:
    from graph.services import Services


class Trained:
    """One per `Services`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = RLock()
        self._open: dict[str, tuple[tuple[int, ...], Router]] = {}

    def router(self, kind: str) -> Router:
        """The router of `kind`: the user's own, else the shipped one; `similarity`, where none was trained, fits itself.

        One that was trained again meanwhile is opened anew.
        Raises UnknownNameError; IndexFault when it is not trained, or not for these experts.
        """
        found = self._written(check_kind(kind))
        with self._lock:
            kept = self._open.get(kind)
            if kept is None or found != kept[0]:
                folder = self.folder(kind)
                if kind == "similarity" and not folder.exists():
                    return self._services.similarity
                self._open[kind] = kept = (found, self._opened(kind, folder))
            return kept[1]

    @cached_property
    def best(self) -> str:
        """`transformer` while one is there that learnt from the very examples that the experts have now, else `similarity`."""
        folder = self.folder("transformer")
        try:
            current = read_about(folder).get("examples") == self._services.examples_hash
        except (OSError, ValueError, TypeError):
            current = folder.exists()  # damaged: whoever opens it is told so, and how to mend it
        return "transformer" if current else "similarity"

    def folder(self, kind: str) -> Path:
        """Where the router of `kind` is: in the home folder, else in artifacts/, whether it is there or not."""
        chosen = self._services.settings
        own, shipped = (root / "routers" / kind for root in (chosen.home, chosen.artifacts_dir))
        return own if own.exists() or not shipped.exists() else shipped

    def _written(self, kind: str) -> tuple[int, ...]:
        """When both were last written. Every question asks: a `Path` would take several times as long."""
        chosen = self._services.settings
        return tuple(written(f"{root}/routers/{kind}/{ABOUT}") for root in (chosen.home, chosen.artifacts_dir))

    @cached_property
    def labels(self) -> set[str]:
        """The labels of a router for the present experts."""
        bank = has_out_of_scope(self._services.settings.experts_dir)
        return {*self._services.experts, *([OUT_OF_SCOPE] if bank else [])}

    def new(self, kind: str, labels: set[str], *, encoder: Encoder | None = None, **settings: Any) -> Router:
        """An unfitted router of `kind` for these labels; one for the present experts may look at their documents too.

        `encoder`: instead of the application's own, with the same vectors. Raises UnknownNameError, or InputError for settings.
        """
        encoder = encoder or self._services.encoder
        return new_router(kind, encoder, **settings, **self._helpers(kind, labels, encoder))

    def open(self, kind: str, folder: Path, labels: set[str]) -> Router:
        """The router of `kind` that was trained for these labels and saved in `folder`. Raises IndexFault."""
        encoder = self._services.encoder
        return load_router(folder, encoder, **self._helpers(kind, labels, encoder))

    def _opened(self, kind: str, folder: Path) -> Router:
        if kind in BASELINES and not folder.exists():
            services = self._services
            return new_router(kind, services.encoder).fit(*router_examples(services.experts, services.settings.experts_dir))
        if not folder.exists():
            raise IndexFault(f"Expected a trained router in {folder}; found none. Run: {mend(kind)}")
        found = self.open(kind, folder, self.labels)
        if set(found.labels) != self.labels:
            known, expected = ", ".join(sorted(found.labels)), ", ".join(sorted(self.labels))
            raise IndexFault(f"The router in {folder} knows {known}; expected {expected}. Run: {mend(kind)}")
        return found

    def _helpers(self, kind: str, labels: set[str], encoder: Encoder) -> dict[str, Any]:
        """What a router of `kind` for these labels is handed beside the encoder."""
        services = self._services
        if kind == "llm":
            return {"ask": services.ask}
        if labels != self.labels:
            return {}
        if kind in EMBEDDED:
            return {"features": document_features(encoder, services.documents, sorted(services.experts))}
        return {"documents": services.documents} if kind == "similarity" else {}


def written(path: str) -> int:
    """When a file was last written, in nanoseconds; 0 where there is none."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
