"""Many at once, and a server that is killed again and again: no error, no lost turn, no torn conversation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from benchmarks.soak.kills import kill_again_and_again
from graph.services import Services
from llms.fake import ScriptedModel
from store.runs import thread_runs
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.server.conftest import Running, chat, messages

REQUESTS, AT_ONCE, MODEL_S = 300, 100, 0.3
KILLS, TALKS = 5, 3


class Patient(ScriptedModel):
    """Takes its time, and then says the same every time."""

    def _stream(self, *arguments: Any, **keywords: Any) -> Iterator[Any]:
        time.sleep(MODEL_S)
        yield from ScriptedModel(replies=[GOOD])._stream(*arguments, **keywords)


async def asked_together(url: str) -> list[tuple[int, str]]:
    limit = asyncio.Semaphore(AT_ONCE)
    body = {"model": "switchyard", "messages": messages(QUESTION)}

    async def one(client: httpx.AsyncClient) -> tuple[int, str]:
        async with limit:
            response = await client.post("/v1/chat/completions", json=body)
            return response.status_code, response.json()["switchyard"]["run_id"]

    async with httpx.AsyncClient(base_url=url, timeout=120, limits=httpx.Limits(max_connections=AT_ONCE)) as client:
        return await asyncio.gather(*(one(client) for _ in range(REQUESTS)))


def test_many_chats_at_once(serve: Callable[..., Running], table: Callable[..., Table]) -> None:
    on = serve(table([], models={"fake:weak": Patient(replies=[])}).services)
    chat(on.http, QUESTION)
    found = asyncio.run(asked_together(on.url))
    assert [status for status, _ in found] == [200] * REQUESTS
    ids = {run_id for _, run_id in found}
    assert len(ids) == REQUESTS
    assert all(len(thread_runs(on.services.engine, run_id)) == 1 for run_id in ids)
    assert on.state.turns.admitted == 0


def test_five_kills_lose_nothing_that_was_acknowledged(tiny: Services) -> None:
    tiny.index("tea"), tiny.index("bees"), tiny.router(), tiny.safety, tiny.engine
    survived = kill_again_and_again(tiny.settings, groups=1, talks=TALKS, kills=KILLS)
    assert survived.broken == []
    assert (survived.conversations, survived.kills) == (TALKS, KILLS)
    assert survived.stood_in == survived.acknowledged >= 3 * KILLS
