"""The application as `switchyard ui` serves it, for the tests in a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from core.settings import ROOT, Settings

CHROMIUM = Path("/usr/bin/chromium")
NEEDS_CHROMIUM = [
    pytest.mark.browser,
    # In CI a missing browser is a failure, not a reason to look away.
    pytest.mark.skipif(not CHROMIUM.exists() and "CI" not in os.environ, reason="needs Debian's chromium: apt-get install chromium"),
]


@contextmanager
def serving(settings: Settings, more: Mapping[str, str] | None = None) -> Iterator[str]:
    """The chat over these settings on a free port; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SWITCHYARD_HOME": str(settings.home),
        "SWITCHYARD_EXPERTS": str(settings.experts_dir),
        "SWITCHYARD_INDEXES": str(settings.indexes_dir),
        **(more or {}),
    }
    command = [sys.executable, "-m", "ui.cli", "ui", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, process.communicate()[0].decode()
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"nothing answers at {address}")
