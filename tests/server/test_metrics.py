"""/metrics with several workers: whichever is asked, it tells of all of them, and not of those that were killed."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.soak.process import serving
from graph.services import Services
from tests.graph.conftest import QUESTION
from tests.llms.wire import serve as provider
from tests.server.conftest import chat

CLIENTS, ASKED = 16, 5


def counted(url: str, name: str, **labels: str) -> float:
    """The sum over the samples of that name and these labels."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=30).text)
    samples = [sample for family in families for sample in family.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def workers(pid: int) -> list[psutil.Process]:
    """Those that serve: the others are multiprocessing's helpers."""
    return [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]


def test_two_workers_are_told_of_as_one(tiny: Services) -> None:
    hosted = {"SWITCHYARD_INFERIOR": "openai:weak", "SWITCHYARD_SUPERIOR": "openai:weak", "SWITCHYARD_MODEL_RETRIES": "0"}
    with ExitStack() as stack:
        silent = stack.enter_context(provider("openai", "hang"))
        pid, url = stack.enter_context(serving(tiny.settings, "--workers", "2", OPENAI_BASE_URL=silent.url, **hosted))
        before = answered(url)
        clients, end = list[httpx.Client](), time.monotonic() + 60
        while len(clients) < CLIENTS or not all(connected(worker) for worker in workers(pid)):  # whoever is quicker gets the next one
            assert time.monotonic() < end
            clients.append(stack.enter_context(httpx.Client(base_url=url, timeout=60)))
            assert clients[-1].get("/healthz").status_code == 200
        for client in clients * (ASKED - 1):
            assert client.get("/healthz").status_code == 200
        asked = len(clients) * ASKED
        assert [answered(url) - before for _ in range(6)] == [asked] * 6
        kill_the_one_that_waits(pid, url, silent.server_port)
        assert [counted(url, "switchyard_turns_running") for _ in range(6)] == [0] * 6
        assert answered(url) - before == asked


def connected(worker: psutil.Process) -> bool:
    return any(c.status == "ESTABLISHED" for c in worker.net_connections())


def answered(url: str) -> float:
    return counted(url, "switchyard_requests_total", route="/healthz", status="200")


def kill_the_one_that_waits(pid: int, url: str, port: int) -> None:
    """Have a worker wait for the model at that port, see it counted, and kill it."""

    def ask() -> None:
        with suppress(httpx.TransportError), httpx.Client(base_url=url, timeout=60) as client:
            chat(client, QUESTION)

    asking = threading.Thread(target=ask)
    asking.start()
    end = time.monotonic() + 60
    while not (waiting := [w for w in workers(pid) if any(c.raddr and c.raddr.port == port for c in w.net_connections())]):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert [counted(url, "switchyard_turns_running") for _ in range(6)] == [1] * 6
    waiting[0].suspend()
    time.sleep(1)  # its parent asks it twice a second whether it lives, and now waits for the answer
    waiting[0].kill()
    waiting[0].wait(45)  # until its parent has noticed: that it waits a minute for one that is busy is no reason
    asking.join(30)
