"""Many at once, and a server that is killed again and again: no error, no lost turn, no torn conversation."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from core.settings import ROOT
from graph.api import compiled
from graph.services import Services
from llms.fake import ScriptedModel
from store.runs import thread_runs
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.llms.wire import closed_port
from tests.server.conftest import Running, chat, messages

REQUESTS, AT_ONCE, MODEL_S = 300, 100, 0.3
KILLS, TALKS = 5, 3
SERVE = """
import os, sys
import uvicorn
from server.app import serve

for line in sys.stdin:  # one server after the other: each is a fork, so that only the first pays for the imports
    if (child := os.fork()) == 0:
        os.close(0)
        uvicorn.run(serve(), port=int(sys.argv[1]), log_level="critical", ws="none")
        os._exit(0)
    sys.stdin.readline()
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


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


@pytest.mark.timeout(400)
def test_many_chats_at_once(serve: Callable[..., Running], table: Callable[..., Table]) -> None:
    on = serve(table([], models={"fake:weak": Patient(replies=[])}).services)
    chat(on.http, QUESTION)
    found = asyncio.run(asked_together(on.url))
    assert [status for status, _ in found] == [200] * REQUESTS
    ids = {run_id for _, run_id in found}
    assert len(ids) == REQUESTS
    assert all(len(thread_runs(on.services.engine, run_id)) == 1 for run_id in ids)
    assert on.state.turns.admitted == 0


@pytest.mark.timeout(400)
def test_five_kills_lose_nothing_that_was_acknowledged(tiny: Services) -> None:
    tiny.index("tea"), tiny.index("bees"), tiny.router(), tiny.safety, tiny.engine
    s, port = tiny.settings, closed_port()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SWITCHYARD_HOME": str(s.home)}
    environment |= {"SWITCHYARD_EXPERTS": str(s.experts_dir), "SWITCHYARD_INDEXES": str(s.indexes_dir)}
    command = [sys.executable, "-c", SERVE, str(port)]
    process = subprocess.Popen(command, env=environment, cwd=s.home, stdin=subprocess.PIPE, text=True)
    assert process.stdin
    acknowledged: dict[str, list[str]] = {f"talk-{n}": [] for n in range(TALKS)}
    over = threading.Event()

    def talk(name: str) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while not over.is_set():
                try:
                    response = chat(client, QUESTION, metadata={"thread_id": name})
                except httpx.HTTPError:
                    time.sleep(0.05)
                    continue
                assert response.status_code == 200, response.text
                acknowledged[name].append(response.json()["switchyard"]["run_id"])

    talking = [threading.Thread(target=talk, args=(name,)) for name in acknowledged]
    dice = random.Random(7)
    for thread in talking:
        thread.start()
    for _ in range(KILLS):
        before = sum(map(len, acknowledged.values()))
        process.stdin.write("serve\n")
        process.stdin.flush()
        until = time.monotonic() + 60
        while sum(map(len, acknowledged.values())) < before + 3 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.3))
        process.stdin.write("kill\n")
        process.stdin.flush()
    process.stdin.close()
    process.wait(30)
    over.set()
    for thread in talking:
        thread.join(90)
    assert sum(map(len, acknowledged.values())) >= 3 * KILLS
    for name, run_ids in acknowledged.items():
        kept = compiled(tiny).get_state({"configurable": {"thread_id": name}}).values["messages"]
        assert [m.type for m in kept] == ["human", "ai"] * (len(kept) // 2)
        told = [m.additional_kwargs["run_id"] for m in kept if m.type == "ai"]
        assert [run_id for run_id in told if run_id in run_ids] == run_ids
        assert set(told) <= {run.run_id for run in thread_runs(tiny.engine, name)}
