"""Killed at random points and started again: nothing is charged twice, nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from multiprocessing import get_context
from pathlib import Path

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from core.settings import Settings
from graph.services import Services
from store.engine import engine
from store.ledger import answered, exclusive
from tests.training.building.provider import provide
from training.building.asking import Asker, run
from training.building.budget import Budget
from training.building.calls import Call
from training.building.pace import Limits

CALLS, AT_ONCE, KILLS = 24, 4, int(os.environ.get("KILLS", "4"))
QUESTIONS = [Call("openai:gpt-5-mini", (HumanMessage(f"Question {n}"),), 50) for n in range(CALLS)]
WITHOUT_ENCODER = None


def ask_all(home: Path, url: str) -> None:
    """What the killed process does."""
    services = Services(Settings(home=home, keys={"openai": SecretStr("k")}, base_urls={"openai": url}))
    services.encoder = WITHOUT_ENCODER
    with exclusive(services.engine):
        asker = Asker(services, "job", Budget(cap=1.0), Limits(AT_ONCE, 60_000))
        run(asker, in_batches(asker), lambda: None)


async def in_batches(asker: Asker) -> None:
    for at in range(0, CALLS, 8):
        await asker.ask(QUESTIONS[at : at + 8])


def test_no_call_is_charged_twice_and_none_is_lost(tmp_path):
    context, chance = get_context("forkserver"), random.Random(0)
    context.set_forkserver_preload(["langchain_openai", __name__])
    settled: dict[str, int] = {}
    killed = 0
    last, over = threading.Event(), threading.Event()

    def reply(_model: str, prompt: str) -> str:
        if prompt == f"Question {CALLS - 1}":  # it is answered once nothing is killed any more: a slow test comes not too late
            last.set()
            over.wait(120)
        return f"Echo: {prompt}"

    with provide(reply, delay_s=0.01) as provider:
        home = tmp_path / "home"
        database = engine(Settings(home=home).database)
        while True:
            process = context.Process(target=ask_all, args=(home, provider.url))
            process.start()
            until = len(provider.requests) + chance.randint(1, CALLS // KILLS)
            while killed < KILLS and process.is_alive() and len(provider.requests) < until and not last.is_set():
                time.sleep(0.001)
            if killed < KILLS:
                time.sleep(chance.uniform(0, 0.02))
                os.kill(process.pid, signal.SIGKILL)
            process.join(120)
            requests = [prompt for _, prompt, _ in provider.requests]
            # What was answered before an earlier kill was not asked again.
            assert settled == {prompt: requests.count(prompt) for prompt in settled}
            done = answered(database, [call.key for call in QUESTIONS])
            settled |= {(prompt := call.messages[0].text): requests.count(prompt) for call in QUESTIONS if call.key in done}
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            killed += 1
            last.clear()
            if killed == KILLS:
                over.set()
        assert killed == KILLS
        assert provider.charged == {("gpt-5-mini", f"Question {n}"): 1 for n in range(CALLS)}
        assert [done[call.key].text for call in QUESTIONS] == [f"Echo: Question {n}" for n in range(CALLS)]
        assert CALLS <= len(provider.requests) <= CALLS + KILLS * AT_ONCE
    database.dispose()
