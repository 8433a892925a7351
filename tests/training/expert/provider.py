"""A loopback server that speaks the wire format of OpenAI's files and fine-tuning jobs, and misbehaves on request.

`with serve("ok", "503") as provider:` answers the first request in good order and every later one as the last word says.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "ft:gpt-4o-mini-2024-07-18:me:tea:a1"
ERRORS = {"401": 401, "404": 404, "429": 429, "500": 500, "503": 503}


class Provider(ThreadingHTTPServer):
    """`requests`: (method, path) in order; `uploads`: the files' texts; `jobs`: the bodies that started one."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *behaviours: str, statuses: tuple[str, ...] = ("queued", "running", "succeeded")) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = behaviours or ("ok",)
        self.statuses = statuses
        self.requests: list[tuple[str, str]] = []
        self.uploads: list[str] = []
        self.jobs: list[dict[str, Any]] = []
        self.looks = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def behaviour(self) -> str:
        return self.behaviours[min(len(self.requests) - 1, len(self.behaviours) - 1)]


@contextmanager
def serve(*behaviours: str, statuses: tuple[str, ...] = ("queued", "running", "succeeded")) -> Iterator[Provider]:
    provider = Provider(*behaviours, statuses=statuses)
    thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        provider.server_close()
        thread.join(5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._do("GET", b"")

    def do_POST(self) -> None:
        self._do("POST", self._body())

    def _body(self) -> bytes:
        if length := self.headers["Content-Length"]:
            return self.rfile.read(int(length))
        read = b""
        while size := int(self.rfile.readline(), 16):
            read += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return read

    def _do(self, method: str, body: bytes) -> None:
        path = self.path.partition("?")[0].removeprefix("/v1")
        self.server.requests.append((method, path))
        behaviour = self.server.behaviour()
        if behaviour in ERRORS:
            key = self.headers["Authorization"].removeprefix("Bearer ")
            return self._send(ERRORS[behaviour], {"error": {"message": f"No. {key}", "type": "error", "code": None, "param": None}})
        if behaviour == "garbage":
            return self._send(200, "<html>Welcome to the hotel</html>")
        if behaviour == "started, then lost":
            self._job(json.loads(body))
            self.close_connection = True
            return None
        return self._send(200, {} if behaviour == "empty" else self._answer(method, path, body))

    def _answer(self, method: str, path: str, body: bytes) -> Any:
        if path == "/files":
            self.server.uploads.append(body.decode())
            return {"id": f"file-{len(self.server.uploads)}", "object": "file", "purpose": "fine-tune"}
        if path == "/fine_tuning/jobs" and method == "POST":
            return self._job(json.loads(body))
        if path == "/fine_tuning/jobs":
            return {"object": "list", "data": [self._state(n, "queued") for n in range(len(self.server.jobs))], "has_more": False}
        if path.endswith("/events"):
            events = [{"id": f"e{n}", "object": "event", "level": "info", "message": f"Step {n}"} for n in range(self.server.looks)]
            return {"object": "list", "data": events[::-1], "has_more": False}
        self.server.looks += 1
        return self._state(0, self.server.statuses[min(self.server.looks, len(self.server.statuses)) - 1])

    def _job(self, body: dict[str, Any]) -> dict[str, Any]:
        self.server.jobs.append(body)
        return self._state(len(self.server.jobs) - 1, "validating_files")

    def _state(self, n: int, status: str) -> dict[str, Any]:
        return {
            "id": f"ftjob-{n + 1}",
            "object": "fine_tuning.job",
            "status": status,
            "training_file": self.server.jobs[n]["training_file"] if self.server.jobs else "file-1",
            "fine_tuned_model": MODEL if status == "succeeded" else None,
            "error": {"code": "invalid", "message": "Too few rows"} if status == "failed" else None,
        }

    def _send(self, status: int, value: Any) -> None:
        body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(value, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
