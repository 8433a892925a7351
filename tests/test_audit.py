"""The audit of the pins, against a loopback stand-in for the advisory service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.settings import ROOT

FIXED = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}
ADVISORY = {"id": "PYSEC-2019-217", "summary": "A sandbox that leaks."}
ADVISORY |= {"affected": [{"package": {"name": "jinja2", "ecosystem": "PyPI"}, "ranges": [FIXED]}]}


class Advisories(BaseHTTPRequestHandler):
    """OSV's query API with one advisory; `asked` holds what was looked up."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pin = f"{query['package']['name']}=={query['version']}"
        self.asked.append(pin)
        body = json.dumps({"vulns": [ADVISORY]} if pin == "jinja2==2.10" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(folder: Path, url: str, *pins: str) -> subprocess.CompletedProcess[str]:
    (folder / "constraints.txt").write_text("".join(f"{pin}\n" for pin in pins))
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), "constraints.txt"]
    environment = os.environ | {"OSV_URL": url, "XDG_CACHE_HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_a_known_vulnerability_fails_and_is_named(tmp_path: Path, service: str) -> None:
    done = audit(tmp_path, service, "rich==15.0.0", "jinja2==2.10")
    assert done.returncode == 1
    assert [line.split() for line in done.stderr.splitlines() if "PYSEC" in line] == [["jinja2", "2.10", "PYSEC-2019-217", "2.10.1"]]
    assert Advisories.asked == ["rich==15.0.0", "jinja2==2.10"]


def test_pins_that_nothing_is_known_of_pass(tmp_path: Path, service: str) -> None:
    done = audit(tmp_path, service, "jinja2==2.10.1")
    assert (done.returncode, done.stdout) == (0, "Audit: no known vulnerability among the packages of constraints.txt.\n")


def test_without_a_network_it_says_so_in_one_line_and_passes(tmp_path: Path) -> None:
    done = audit(tmp_path, "http://127.0.0.1:9/v1/query", "jinja2==2.10")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Audit skipped: no advisory service answers.\n", "")


def test_a_broken_list_of_pins_is_no_reason_to_pass(tmp_path: Path, service: str) -> None:
    done = audit(tmp_path, service, "jinja2>=2.10")
    assert (done.returncode, "jinja2" in done.stderr) == (1, True)
