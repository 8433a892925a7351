"""The kinds of routers by name. Each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UnknownNameError

if TYPE_CHECKING:
    from graph.routers.base import Router
    from retrieval.encoder import Encoder


def new_router(kind: str, encoder: Encoder, **settings: Any) -> Router:
    """An unfitted router. `settings`: keywords of its class. Raises UnknownNameError."""
    found: Router = _class(kind)(encoder, **settings)
    return found


def load_router(folder: Path, encoder: Encoder, **settings: Any) -> Router:
    """The router saved in `folder`, of whatever kind. `settings`: keywords of its `load`. Raises IndexFault, UnknownNameError."""
    from graph.routers.saved import broken, read_about

    try:
        kind = str(read_about(folder)["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise broken(folder, folder.name, error) from None
    found: Router = _class(kind).load(folder, encoder, **settings)
    return found


def parameters(kind: str) -> dict[str, str | int | float]:
    """What can be set of a kind, by name, with its default. Raises UnknownNameError."""
    found = signature(_class(kind)).parameters.values()
    return {p.name: p.default for p in found if type(p.default) in (str, int, float) and p.name not in ("seed", "model")}


def check_kind(kind: str) -> str:
    """The kind itself. Raises UnknownNameError."""
    if kind not in KINDS:
        raise UnknownNameError("router", kind, list(KINDS))
    return kind


def _class(kind: str) -> Any:
    module, name = _CLASSES[check_kind(kind)]
    return getattr(import_module(f"graph.routers.{module}"), name)


_CLASSES = {
    "similarity": ("similarity", "SimilarityRouter"),
    "logistic": ("logistic", "LogisticRouter"),
    "xgboost": ("boosted", "BoostedRouter"),
    "transformer": ("transformer", "TransformerRouter"),
    "llm": ("llm", "ChatRouter"),
    "random": ("baselines", "RandomRouter"),
    "majority": ("baselines", "MajorityRouter"),
}
KINDS = tuple(_CLASSES)
BASELINES = ("random", "majority")
EMBEDDED = ("logistic", "xgboost")
"""Those that take `features`."""
LEARNT = tuple(kind for kind in KINDS if kind not in BASELINES)
KEYLESS = tuple(kind for kind in KINDS if kind != "llm")
"""Those that need no chat model."""
