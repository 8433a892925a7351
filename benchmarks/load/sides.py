"""The three servers, each in processes of its own on loopback, with a home of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.load import SPEC
from benchmarks.load.chats import Asking
from core.settings import ROOT

READY_S = 120.0
TINY = ROOT / "tests" / "data" / "experts"
ONE_CALL = {"out_of_scope_at": 1.0, "both_at": 1.0, "accept_at": 0.0, "retry_at": 0.0, "answer_at": 0.0, "superior_at": 1.0}
"""A policy under which every turn asks one expert and one model, once. A short question later in a conversation takes a call more: a hosted
model says first whether it is a follow-up."""


@dataclass(frozen=True)
class Side:
    """A server that runs. asking: how it is asked."""

    name: str
    url: str
    process: psutil.Process
    asking: Asking

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        times = [p.cpu_times() for p in (self.process, *self.process.children(recursive=True))]
        return float(sum(t.user + t.system for t in times))


def completions(thread: str, question: str) -> tuple[str, dict[str, Any]]:
    """A turn of a stored conversation, in OpenAI's form."""
    said = [{"role": "user", "content": question}]
    return "/v1/chat/completions", {"model": "switchyard", "messages": said, "metadata": {"thread_id": thread}}


def runs(thread: str, question: str) -> tuple[str, dict[str, Any]]:
    """A turn on a thread of the LangGraph server."""
    said = {"messages": [{"role": "user", "content": question}]}
    return f"/threads/{thread}/runs/wait", {"assistant_id": "switchyard", "input": said, "if_not_exists": "create"}


def calls_for(body: dict[str, Any]) -> int:
    """How many calls of a model a turn took: those that its answer object lists, one after the other; the bare route's only one."""
    answer = body.get("switchyard") or body.get("answer")
    return len(answer["models"]) if answer else 1


@contextmanager
def ours(folder: Path, environment: dict[str, str], workers: int) -> Iterator[Side]:
    """Switchyard, as `switchyard serve --workers` starts it."""
    with _uvicorn("ours", folder, environment, workers) as side:
        yield side


@contextmanager
def bare(folder: Path, environment: dict[str, str], workers: int) -> Iterator[Side]:
    """The floor, with as many workers."""
    with _uvicorn("bare", folder, environment, workers) as side:
        yield side


@contextmanager
def dev(folder: Path, environment: dict[str, str]) -> Iterator[Side]:
    """The LangGraph dev server, as `make dev` starts it, but for the scripted model. It has one process."""
    config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    folder.mkdir()
    (folder / "langgraph.json").write_text(json.dumps(config | {"graphs": {"switchyard": "benchmarks.load.served:make_graph"}}))
    port = free_port()
    command = [str(Path(sys.executable).parent / "langgraph"), "dev", "--no-browser", "--no-reload", "--port", str(port)]
    with _process(command, folder, environment) as process:
        yield _up(Side("dev", f"http://127.0.0.1:{port}", process, runs), "/ok", folder)


@contextmanager
def _uvicorn(name: str, folder: Path, environment: dict[str, str], workers: int) -> Iterator[Side]:
    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.load.served:{name}", "--factory", "--port", str(port)]
    command += [
        "--workers",
        str(workers),
        "--log-level",
        "warning",
        "--ws",
        "none",
        "--timeout-worker-healthcheck",
        "60",
        "--timeout-keep-alive",
        "75",
    ]
    with _process(command, folder, environment) as process:
        yield _up(Side(name, f"http://127.0.0.1:{port}", process, completions), "/readyz", folder)


@contextmanager
def _process(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[psutil.Process]:
    home = folder / "home"
    home.mkdir()
    policy = tomllib.loads((ROOT / "artifacts" / "policy.toml").read_text(encoding="utf-8")) | ONE_CALL
    (home / "policy.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in policy.items()))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ}
    own = {"PYTHONPATH": str(ROOT), "SWITCHYARD_HOME": str(home), "SWITCHYARD_INFERIOR": SPEC, "SWITCHYARD_SUPERIOR": SPEC}
    variables = inherited | own | {"LANGSMITH_TRACING": "false"} | environment
    with (folder / "log").open("w") as log:
        process = psutil.Popen(command, cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except psutil.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _up(side: Side, path: str, folder: Path) -> Side:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and side.process.is_running():
        try:
            if httpx.get(f"{side.url}{path}", timeout=5).status_code == 200:
                return side
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"The server {side.name} did not start:\n{(folder / 'log').read_text()[-2000:]}")


def indexes_of(experts: Path, folder: Path) -> Path:
    """Where the experts' indexes are: the shipped ones' own place, else a new one in `folder`, which shares the exported encoder."""
    if experts == ROOT / "experts":
        return ROOT / "indexes"
    made = folder / "indexes"
    made.mkdir()
    (made / ".encoder").symlink_to(ROOT / "indexes" / ".encoder", target_is_directory=True)
    return made


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
