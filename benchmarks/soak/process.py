"""`switchyard serve` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from benchmarks.load.sides import free_port
from core.settings import ROOT, Settings

READY_S, STOP_S = 120.0, 60.0


@contextmanager
def serving(settings: Settings, *options: str, **environment: str) -> Iterator[tuple[int, str]]:
    """The server with these options and variables, over these settings' folders: its process id and its address."""
    settings.home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    folders = {"HOME": settings.home, "EXPERTS": settings.experts_dir, "INDEXES": settings.indexes_dir}
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | {f"SWITCHYARD_{name}": str(path) for name, path in folders.items()}
    command = [sys.executable, "-m", "ui.cli", "serve", "--port", str(port), *options]
    log = settings.home / "serve.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=own | environment, cwd=settings.home, stdout=out, stderr=out)
    try:
        until_ready(f"http://127.0.0.1:{port}", 200)
        yield process.pid, f"http://127.0.0.1:{port}"
    except TimeoutError as error:
        raise SystemExit(f"{error}\n{log.read_text()[-2000:]}") from None
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)


def until_ready(url: str, status: int) -> None:
    """Wait until /readyz says so. Raises TimeoutError."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/readyz", timeout=60).status_code == status:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{url}/readyz did not answer {status} in {READY_S:g} s.")
