"""What fits itself on the experts' examples on first use, and is kept beside the indexes: the similarity router, the safety rules."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from core.errors import IndexFault
from experts.examples import router_examples
from graph.routers.saved import ABOUT
from graph.routers.similarity import SimilarityRouter
from graph.safety import SafetyRules

if TYPE_CHECKING:
    from graph.services import Services


def fitted_folder(services: Services) -> Path:
    """Where it is kept."""
    return services.settings.indexes_dir / ".router"


def fitted_similarity(services: Services) -> SimilarityRouter:
    """The similarity router of the present examples. Raises IndexFault where it cannot be kept."""
    folder = services.router_folder
    try:
        return SimilarityRouter.load(folder, services.encoder, services.documents)
    except IndexFault:
        pass
    print("Fitting the router ...", file=sys.stderr)
    router = SimilarityRouter(services.kept_encoder, services.documents)
    router.fit(*router_examples(services.experts, services.settings.experts_dir))
    with _alone(folder, "[0-9a-f]*"):
        router.save(folder)
    return SimilarityRouter.load(folder, services.encoder, services.documents)


def unfitted(services: Services) -> Iterator[tuple[str, Callable[[], object]]]:
    """What the first question has to wait for, each part in words and with what fits it: so that a page can say so."""
    fits_itself = services.router_kind == "similarity" and not services.lone and not services.trained.folder("similarity").exists()
    if fits_itself and not (services.router_folder / ABOUT).exists():
        yield "the router", services.router
    if "safety" not in vars(services):
        rules, folder = _safety(services)
        if len(rules) and not (folder / ABOUT).exists():
            yield "the safety rules", lambda: services.safety


def _safety(services: Services) -> tuple[SafetyRules, Path]:
    """The rules, not yet fitted, and where they are kept once they are."""
    rules = SafetyRules(services.experts)
    return rules, fitted_folder(services) / f"safety-{rules.data(services.examples_hash)}"


def fitted_safety(services: Services) -> SafetyRules:
    """The safety rules of the present examples. Raises IndexFault where they cannot be kept."""
    rules, folder = _safety(services)
    fingerprint = services.encoder.fingerprint
    try:
        return rules.load(folder, fingerprint) if len(rules) else rules
    except IndexFault:
        pass
    print("Learning the safety rules ...", file=sys.stderr)
    rules.fit(services.kept_encoder.encode, *router_examples(services.experts, services.settings.experts_dir))
    with _alone(folder, "safety-*"):
        rules.save(folder, fingerprint)
    return rules


@contextmanager
def _alone(folder: Path, earlier: str) -> Iterator[None]:
    """One writer at a time; what was learnt from `earlier` examples goes. Raises IndexFault where the folder cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock"):
            yield
            for other in folder.parent.glob(earlier):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
    except OSError as error:
        raise IndexFault(f"Cannot write {folder.parent}: {error.strerror}. Set SWITCHYARD_INDEXES to a writable folder.") from None
