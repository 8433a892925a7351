"""kill -9 at random points of conversations: what was acknowledged is there, and no conversation is torn.

The models' provider cannot be reached meanwhile, so that every turn is also one that another model stands in for.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.load.sides import free_port
from core.settings import ROOT, Settings
from graph.api import compiled
from graph.services import Services
from graph.summary import KEPT
from store.runs import thread_runs

QUESTIONS = ["How long does green tea steep?", "How long does black tea steep?", "What is honey made of?"]
SPEC = "openai:out-of-reach"
SERVER = """
import os, sys
import langchain_openai, uvicorn
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
LATEST_S = 0.5
PATIENCE_S = 120.0


@dataclass
class Survived:
    """What is left. cut: requests that a kill broke; broken: what must not be, in words; empty where all is well."""

    conversations: int = 0
    kills: int = 0
    acknowledged: int = 0
    cut: int = 0
    stood_in: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass
class _Group:
    """Conversations that go on at the same time, and the run ids that each was told."""

    url: str
    told: dict[str, list[str]]
    survived: Survived
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        return sum(map(len, self.told.values()))

    def talk(self, name: str) -> None:
        """Ask until the group is over; a request that breaks off is asked again."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self.over.is_set():
                said = [{"role": "user", "content": QUESTIONS[len(self.told[name]) % len(QUESTIONS)]}]
                body = {"model": "switchyard", "messages": said, "metadata": {"thread_id": name}}
                try:
                    response = client.post("/v1/chat/completions", json=body)
                except httpx.ConnectError:
                    time.sleep(0.05)
                except httpx.TransportError:
                    self.survived.cut += 1
                else:
                    self.take(name, response)

    def take(self, name: str, response: httpx.Response) -> None:
        """Note what was acknowledged, and whether the stand-in is named."""
        if response.status_code != 200:
            self.survived.broken.append(f"{name}: {response.status_code} {response.text[:200]}")
            self.over.set()
            return
        answer = response.json()["switchyard"]
        self.told[name].append(answer["run_id"])
        models, notices = [use["model"] for use in answer["models"]], [n["text"] for n in answer["notices"] if n["kind"] == "fallback"]
        if models and SPEC not in models and any(SPEC in text and models[0] in text for text in notices):
            self.survived.stood_in += 1
        else:
            self.survived.broken.append(f"{name}: answered by {models}, with the notices {notices}")


def kill_again_and_again(
    settings: Settings, *, groups: int, talks: int, kills: int, seed: int = 7, advance: Callable[[int], None] = lambda _: None
) -> Survived:
    """So many groups of conversations one after the other, and so many kills in each. Afterwards everything is read back."""
    survived, dice, told = Survived(), random.Random(seed), dict[str, list[str]]()  # noqa: S311 - protects nothing
    with _server(settings) as (url, command):
        for number in range(groups):
            group = _Group(url, {f"talk-{number}-{n}": [] for n in range(talks)}, survived)
            talking = [threading.Thread(target=group.talk, args=(name,), daemon=True) for name in group.told]
            for thread in talking:
                thread.start()
            for _ in range(kills):
                _one_life(group, command, dice)
                advance(1)
            group.over.set()
            for thread in talking:
                thread.join(PATIENCE_S)
            told |= group.told
    survived.conversations, survived.kills, survived.acknowledged = len(told), groups * kills, sum(map(len, told.values()))
    read_back(settings, told, survived)
    return survived


def _one_life(group: _Group, command: Callable[[str], None], dice: random.Random) -> None:
    before, wanted = group.count, len(group.told)  # about one for each conversation
    command("serve")
    until = time.monotonic() + PATIENCE_S
    while group.count < before + wanted and not group.over.is_set():
        if time.monotonic() > until:
            group.survived.broken.append(f"the server answered {group.count - before} turns in {PATIENCE_S:g} s")
            group.over.set()
        time.sleep(0.01)
    time.sleep(dice.uniform(0, LATEST_S))
    command("kill")


@contextmanager
def _server(settings: Settings) -> Iterator[tuple[str, Callable[[str], None]]]:
    """Its address, and how it is commanded: serve, kill."""
    settings.home.mkdir(parents=True, exist_ok=True)
    port, nobody = free_port(), free_port()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SWITCHYARD_HOME": str(settings.home)}
    environment |= {"SWITCHYARD_EXPERTS": str(settings.experts_dir), "SWITCHYARD_INDEXES": str(settings.indexes_dir)}
    environment |= {"SWITCHYARD_INFERIOR": SPEC, "SWITCHYARD_SUPERIOR": SPEC, "SWITCHYARD_MODEL_RETRIES": "0"}
    environment |= {"OPENAI_BASE_URL": f"http://127.0.0.1:{nobody}/v1"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port)],
        env=environment,
        cwd=settings.home,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin
    line = process.stdin

    def command(word: str) -> None:
        line.write(f"{word}\n")
        line.flush()

    try:
        yield f"http://127.0.0.1:{port}", command
    finally:
        line.close()
        process.wait(60)


def read_back(settings: Settings, told: dict[str, list[str]], survived: Survived) -> None:
    """Compare what was acknowledged with the conversations, the runs and the files."""
    services = Services(settings)
    for name, run_ids in told.items():
        kept = compiled(services).get_state({"configurable": {"thread_id": name}}).values.get("messages", [])
        remembered = [m.additional_kwargs["run_id"] for m in kept if m.type == "ai"]
        if [m.type for m in kept] != ["human", "ai"] * (len(kept) // 2):
            survived.broken.append(f"{name} is torn: {[m.type for m in kept]}")
        acknowledged = [run_id for run_id in remembered if run_id in run_ids]
        if acknowledged != run_ids[-len(acknowledged) :] or (len(kept) < KEPT and len(acknowledged) < len(run_ids)):
            survived.broken.append(f"{name} has lost turns: told {run_ids}, kept {remembered}")
        if missing := {*remembered, *run_ids} - {run.run_id for run in thread_runs(services.engine, name)}:
            survived.broken.append(f"{name} has turns without a run: {missing}")
    services.engine.dispose()
    survived.broken += [f"{path.name}: {state}" for path in sorted(settings.home.glob("*.db")) if (state := _integrity(path)) != "ok"]


def _integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as opened:
        return str(opened.execute("PRAGMA integrity_check").fetchone()[0])
