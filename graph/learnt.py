"""The version of `graph.versions` in service: the router with its corrections, and the confidence recalibrated.

It is the same for every worker of every machine that shares the database, and each looks there now and then. A version belongs to the
router and the confidence that it was fitted to: when those change, it is left aside until the next retraining.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from core.errors import IndexFault
from graph.confidence import Confidence, Logistic
from graph.routers.base import Router
from graph.routers.corrected import CorrectedRouter, Corrections
from graph.routers.saved import read_about
from graph.versions import CONFIDENCE, MANIFEST, NAME, ROUTER, adopt_files, unpacked

if TYPE_CHECKING:
    from graph.services import Services

LOOK_S = 1.0
"""So long after a look into the database what it said is taken for true: a turn need not wait for another."""
Stamp = tuple[int, str]
"""The number of a version and the checksum of its files."""
STALE = "What feedback taught was fitted to another {}, and is left aside. Run: switchyard feedback retrain"


@dataclass(frozen=True, slots=True)
class Recalibration:
    """slope and offset of the logits of both regressions; base: the identity of the confidence they belong to; ids: of the feedback."""

    base: str
    before: tuple[float, float]
    after: tuple[float, float]
    ids: list[str]

    def applied(self, shipped: Confidence) -> Confidence:
        """The confidence that says so: what it ranks higher, it still does."""
        return Confidence(_moved(shipped.before, *self.before), _moved(shipped.after, *self.after))


def read_recalibration(folder: Path) -> Recalibration | None:
    """That of a version; None where it has none. Raises IndexFault when it is broken."""
    path = folder / CONFIDENCE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Recalibration(data["base"], tuple(data["before"]), tuple(data["after"]), data["ids"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexFault(f"{path} cannot be read: {error}. Run: switchyard feedback rollback") from None


def router_identity(services: Services, kind: str) -> str:
    """Changes whenever the trained router of `kind` does. Raises OSError, ValueError, KeyError or TypeError when it is saved nowhere."""
    folder = services.trained.folder(kind)
    about = read_about(services.router_folder if kind == "similarity" and not folder.exists() else folder)
    weights = {name: digest for name, digest in about["checksums"].items() if name.endswith(".onnx")}
    return _hash([weights, *(about.get(name) for name in ("kind", "encoder", "labels", "settings", "data"))])


def confidence_identity(shipped: Confidence) -> str:
    """Changes whenever the confidence does."""
    return _hash(asdict(shipped))


class Learnt:
    """The version in service, opened on first use, and anew after a retraining or a rollback. One per `Services`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._looking = Lock()
        self._looked_at: float | None = None
        self._serving: Stamp | None = None
        self._routers: dict[str, tuple[Router, Stamp, Router]] = {}
        self._confidence: tuple[Stamp, Confidence] | None = None

    def serving(self) -> Stamp | None:
        """The version in service, LOOK_S seconds ago at the earliest; None where that is what ships. Raises StoreError, IndexFault."""
        now = time.monotonic()
        if self._looked_at is None or now - self._looked_at >= LOOK_S:
            with self._looking:
                if self._looked_at is None or now > self._looked_at:
                    self._serving = self._look()
                    self._looked_at = now
        return self._serving

    def look_again(self) -> None:
        """Whatever is in service now counts from now on."""
        self._looked_at = None

    def router(self, base: Router, kind: str) -> Router:
        """`base`, the trained router of `kind`, with its corrections; `base` itself where there are none."""
        stamp, kept = self.serving(), self._routers.get(kind)
        if not stamp:
            return base
        if kept is None or kept[0] is not base or kept[1] != stamp:
            self._routers[kind] = kept = base, stamp, self._corrected(base, kind)
        return kept[2]

    def confidence(self, shipped: Confidence) -> Confidence:
        """`shipped`, recalibrated where feedback taught that."""
        stamp, kept = self.serving(), self._confidence
        if not stamp:
            return shipped
        if kept is None or kept[0] != stamp:
            with self._unpacked() as folder:
                found = read_recalibration(folder) if folder else None
            if found and found.base != confidence_identity(shipped):
                print(STALE.format("confidence"), file=sys.stderr)
                found = None
            self._confidence = kept = stamp, found.applied(shipped) if found else shipped
        return kept[1]

    def corrections(self, kind: str) -> Corrections | None:
        """Those in service of the trained router of `kind`; None where there are none, or none of it and of the encoder as they are now."""
        with self._unpacked() as folder:
            if folder is None or not (folder / ROUTER).exists():
                return None
            found, made_for = Corrections.load(folder / ROUTER)
        try:
            same_router = made_for == router_identity(self._services, kind)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a router that is saved nowhere has nothing to be corrected
        same_encoder = found.encoder == self._services.encoder.fingerprint
        if same_router and same_encoder:
            return found
        if kind == self._services.router_kind:
            print(STALE.format("router" if same_encoder else "encoder"), file=sys.stderr)
        return None

    def _corrected(self, base: Router, kind: str) -> Router:
        found = self.corrections(kind)
        return CorrectedRouter(base, self._services.encoder, found) if found else base

    @contextmanager
    def _unpacked(self) -> Iterator[Path | None]:
        """The files of the version in service, as long as the block lasts."""
        from store.versions import files_of

        stamp = self.serving()
        if stamp is None:
            yield None
            return
        with unpacked(files_of(self._services.engine, NAME, stamp[0])) as folder:
            yield folder

    def _look(self) -> Stamp | None:
        chosen = self._services.settings
        in_files = (chosen.home / NAME / MANIFEST).exists()
        # Nothing has been learnt where there is no database yet: whoever only asks for a route does not make one.
        if not in_files and not chosen.database_url and not (chosen.home / "switchyard.db").exists():
            return None
        from store.versions import SHIPPED, serving

        if in_files and self._looked_at is None:
            adopt_files(self._services.engine, chosen.home)
        found = serving(self._services.engine, NAME)
        return None if found[0] == SHIPPED else found


def _moved(of: Logistic, slope: float, offset: float) -> Logistic:
    weights = {name: slope * weight for name, weight in of.weights.items()}
    return Logistic(weights, slope * of.intercept + offset, of.neutral)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
