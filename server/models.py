"""The names that can be asked for: `switchyard`, `switchyard/<expert>` and `switchyard/superior`."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from core.pictures import Picture
from core.types import Tier
from graph.services import Services
from graph.state import Context
from server.access import KeyFirst, Who
from server.errors import Refused
from server.schema import Model, Models
from server.state import App

router = APIRouter(tags=["models"], route_class=KeyFirst)
ROUTED = "switchyard"
_SUPERIOR = f"{ROUTED}/{Tier.SUPERIOR}"


def names(services: Services) -> dict[str, str]:
    """Each model and what people call it."""
    experts = {f"{ROUTED}/{name}": f"Switchyard: {expert.card.title}" for name, expert in services.experts.items()}
    return {ROUTED: "Switchyard", **experts, _SUPERIOR: "Switchyard: superior model"}


def context(services: Services, model: str, owner: str | None, images: Sequence[Picture]) -> Context:
    """How a model's name is asked. Raises Refused (404) for one that there is not."""
    _known(services, model)
    if model == ROUTED:
        return Context(owner=owner, images=images)
    if model == _SUPERIOR:
        return Context(model=Tier.SUPERIOR, owner=owner, images=images)
    return Context(expert=model.removeprefix(f"{ROUTED}/"), owner=owner, images=images)


@router.get("/v1/models")
def list_models(services: App, who: Who) -> Models:
    """What can be asked for as `model`."""
    return Models(data=[Model(id=model, name=name) for model, name in names(services).items()])


@router.get("/v1/models/{model:path}")
def read_model(model: str, services: App, who: Who) -> Model:
    """One of them."""
    return Model(id=model, name=_known(services, model))


def _known(services: Services, model: str) -> str:
    found = names(services)
    if model not in found:
        raise Refused(404, f"No model is called {model!r}. Known: {', '.join(found)}.", code="model_not_found", param="model")
    return found[model]
