"""Stored conversations. Each owner has a space of names: another's conversation cannot be named, so it cannot be guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyio import to_thread
from fastapi import APIRouter

from graph.api import forget, waiting
from graph.services import Services
from server.access import Caller, KeyFirst, Who
from server.errors import Refused
from server.review import review
from server.schema import Deleted, ThreadDetail, ThreadId, Threads, ThreadSummary, Turn
from server.state import App, Shared
from store.runs import Run, thread_runs, threads

router = APIRouter(prefix="/v1/threads", tags=["threads"], route_class=KeyFirst)


def stored_name(who: Caller, thread: str) -> str:
    """The name under which a caller's thread is stored."""
    return f"{who.owner}:{thread}" if who.owner else thread


def public_name(who: Caller, stored: str) -> str:
    """The inverse of `stored_name`."""
    return stored.removeprefix(f"{who.owner}:") if who.owner else stored


def published(who: Caller, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer object with the thread's name as its owner knows it; None for a turn that stands alone, which nothing goes on from."""
    thread = answer["thread_id"]
    return {**answer, "thread_id": None if thread == answer.get("run_id") else public_name(who, thread)}


@router.get("")
def list_threads(services: App, who: Who) -> Threads:
    """The caller's hundred latest conversations."""
    # A LangGraph server's own threads stand beside them, and are read there.
    found = [t for t in threads(services.engine, who.owner) if stored_name(who, public_name(who, t.thread_id)) == t.thread_id]
    return Threads(
        data=[ThreadSummary(id=public_name(who, t.thread_id), title=t.title, turns=t.turns, updated_at=t.updated_at) for t in found]
    )


@router.get("/{thread_id}")
def read_thread(thread_id: ThreadId, services: App, who: Who) -> ThreadDetail:
    """A conversation, turn by turn."""
    runs, offered = _found(services, who, thread_id)
    turns = [Turn(question=r.question, created_at=r.created_at, switchyard=published(who, r.answer)) for r in runs]
    return ThreadDetail(id=thread_id, turns=turns, review=review(offered) if offered else None)


@router.delete("/{thread_id}")
async def delete_thread(thread_id: ThreadId, services: App, shared: Shared, who: Who) -> Deleted:
    """Forget a conversation."""
    await to_thread.run_sync(_forget, services, who, thread_id, limiter=shared.deleting)
    return Deleted(id=thread_id)


def _forget(services: Services, who: Caller, thread_id: str) -> None:
    _found(services, who, thread_id)
    forget(stored_name(who, thread_id), services)


def _found(services: Services, who: Caller, thread_id: str) -> tuple[list[Run], Mapping[str, Any] | None]:
    """A conversation's turns, and the data of the route that waits in it; of a new one's first question that is all there is."""
    name = stored_name(who, thread_id)
    runs = [run for run in thread_runs(services.engine, name) if run.owner == who.owner]
    offered = waiting(name, who.owner, services)
    if not runs and not offered:
        raise Refused(404, f"No conversation is called {thread_id}.", code="thread_not_found", param="thread_id")
    return runs, offered and offered[1]
