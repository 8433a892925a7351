"""For langgraph.json: this server's routes and its keys on a LangGraph server. There a key sees its owner's threads and no others."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph_sdk import Auth
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from core.errors import InputError, UnknownNameError
from core.types import Tier
from graph.services import Services, services
from graph.state import AUTO
from llms.registry import configured
from server.access import Caller, admit
from server.app import create_app
from server.errors import Refused
from server.route import check_ready

LOCAL = ":local"
"""Whoever asks without keys; no owner can be called that."""
_OF_CLIENTS = {"configurable", "metadata", "recursion_limit", "tags"}
"""Of a run's config. LangGraph takes any other name for one of `configurable`, where a thread_id would open another owner's thread."""

app = create_app()
# The LangGraph server has its own form of errors for its own routes.
del app.exception_handlers[HTTPException]
auth = Auth()


@auth.authenticate
async def authenticate(scope: dict[str, Any]) -> dict[str, Any]:
    """The caller of the LangGraph server's own routes; this server's routes ask for themselves. Counts the request."""
    headers, client = Headers(scope=scope), scope.get("client") or ("",)
    try:
        who: Caller = await asyncio.to_thread(lambda: admit(services(), headers, client[0]))
    except Refused as refused:
        raise Auth.exceptions.HTTPException(status_code=refused.status, detail=str(refused)) from None
    if who.key and who.key.budget_usd is not None:
        raise Auth.exceptions.HTTPException(403, "The cost of runs is not counted here: a key with a budget asks at /v1.")
    return {"identity": who.owner or LOCAL, "is_authenticated": True, "key_id": who.key_id}


@auth.on
async def others(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Everything that is not named below: the store, schedules, changes of assistants."""
    return ctx.user.identity == LOCAL


@auth.on.assistants.read
async def assistant(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Everyone may see what there is to ask."""
    return True


@auth.on.assistants.search
async def assistants(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Everyone may look for it."""
    return True


@auth.on.threads
async def threads(ctx: Auth.types.AuthContext, value: Any) -> dict[str, Any] | bool:
    """Each sees their own; a run is its caller's, whatever its context says."""
    if ctx.action == "create_run":
        try:
            await asyncio.to_thread(lambda: _check(services(), value["kwargs"], keyed=ctx.user.identity != LOCAL))
        except (Refused, InputError) as error:
            raise Auth.exceptions.HTTPException(400, str(error)) from None
    if ctx.user.identity == LOCAL:
        return True
    owner = {"owner": ctx.user.identity}
    if ctx.action in ("create", "create_run", "update"):
        if value.get("metadata") is None:
            value["metadata"] = {}
        value["metadata"].update(owner)  # in place: the server goes on with this very object
    if ctx.action == "create_run":
        if value["kwargs"].get("webhook"):
            raise Auth.exceptions.HTTPException(403, "The server calls no address for a key: leave webhook out, and read the run.")
        _sign(value, {**owner, "key_id": ctx.user["key_id"]})
    return owner


def _check(shared: Services, run: Any, *, keyed: bool) -> None:
    """Raises Refused or InputError for a router that is not ready; and for a key's model, which costs money or memory, that nobody set."""
    asked = {**(run["config"].get("configurable") or {}), **(run.get("context") or {})}
    if kind := asked.get("router"):
        check_ready(shared, str(kind))
    if keyed and (model := asked.get("model")):
        tiers = [spec for name in (None, *shared.experts) for spec in shared.tiers(name).values()]
        usable = [spec for spec, problem in configured(shared.settings, *tiers) if problem is None]
        if model not in (known := [AUTO, str(Tier.SUPERIOR), *usable]):
            raise UnknownNameError("model", str(model), known)


def _sign(run: Any, caller: dict[str, str]) -> None:
    """Write who asks, and in which thread, over whatever a run's client says of it: by that, answers are stored and turns logged."""
    config, metadata = run["kwargs"]["config"], run["metadata"]
    for name in config.keys() - _OF_CLIENTS:
        del config[name]
    for said in (metadata, config.get("metadata") or {}):
        said.pop("thread_id", None)
    metadata.update(caller)
    if run["thread_id"]:
        metadata["thread_id"] = str(run["thread_id"])
    run["kwargs"]["context"] = {**(run["kwargs"].get("context") or {}), **caller}
