"""Loopback servers that speak the wire formats of OpenAI, DeepSeek and Gemini, and misbehave on request.

`with serve("openai", "429", "ok") as server:` answers the first request with 429 and every later one as the last word says.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECES = ["Sleep ", "is ", "good [1]."]
INPUT_TOKENS, OUTPUT_TOKENS = 120, 30
LOGPROBS = [-0.1, -0.2, -0.6]
RETRY_AFTER_S = "0.3"
PAUSE_S = {"slow": 0.15, "a token a minute": 60.0}
"""After each piece of an answer."""

STATUS = {
    "429": (429, "Too many requests"),
    "429 no wait": (429, "Too many requests"),
    "429 long wait": (429, "Too many requests"),
    "429 date": (429, "Too many requests"),
    "quota": (429, "You exceeded your current quota"),
    "500": (500, "Internal error"),
    "503": (503, "Overloaded"),
    "401": (401, "Bad credentials"),
    "402": (402, "Insufficient balance"),
    "bad key 400": (400, "API key not valid. Please pass a valid API key."),
    "404": (404, "The model does not exist"),
    "400": (400, "Bad argument"),
    "408": (408, "Request timeout"),
    "409": (409, "Conflict"),
    "422": (422, "Unprocessable"),
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a handler that hangs on purpose must not hold up the test

    def __init__(self, dialect: str, behaviours: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.dialect = dialect
        self.behaviours = behaviours
        self.bodies: list[dict] = []
        self.closing = threading.Event()
        self.client_left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}" + ("" if self.dialect == "google_genai" else "/v1")


@contextmanager
def serve(dialect: str, *behaviours: str) -> Iterator[Server]:
    server = Server(dialect, behaviours)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = len(self.server.bodies)
        self.server.bodies.append(body)
        behaviour = self.server.behaviours[min(number, len(self.server.behaviours) - 1)]
        self.close_connection = True
        try:
            self._answer(behaviour, body)
        except OSError:
            self.server.client_left.set()

    def _answer(self, behaviour: str, body: dict) -> None:
        if behaviour in STATUS:
            self._error(behaviour, *STATUS[behaviour])
        elif behaviour == "key echoed":
            key = self.headers.get("x-goog-api-key") or self.headers["Authorization"].removeprefix("Bearer ")
            self._error(behaviour, 401, f"Incorrect API key: {key}.\nAlso sk-abcdef**********wxyz and AIzaSyA-1234567890.")
        elif behaviour == "garbage":
            self._whole(200, b"<html>Welcome to the hotel's network</html>", "text/html")
        elif behaviour == "garbage event":
            self._whole(200, b"data: {not json\n\n", "text/event-stream")
        elif behaviour == "hang":
            self.server.closing.wait(120)
        elif body.get("stream") or "streamGenerateContent?alt=sse" in self.path:
            self._stream(behaviour)
        else:
            self._whole(200, json.dumps(_complete(self.server.dialect, body)).encode(), "application/json")

    def _error(self, behaviour: str, status: int, message: str) -> None:
        if self.server.dialect == "google_genai":
            error = {"code": status, "message": message, "status": "FAILED"}
        else:
            error = {"message": message, "type": "error", "param": None, "code": "insufficient_quota" if behaviour == "quota" else None}
        date = formatdate(time.time() + 20, usegmt=True)
        wait = {"429": RETRY_AFTER_S, "429 long wait": "30", "429 date": date}.get(behaviour)
        self._whole(status, json.dumps({"error": error}).encode(), "application/json", {"Retry-After": wait} if wait else {})

    def _whole(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, behaviour: str) -> None:
        """Server-sent events. Chunked, so that a cut is a broken transfer; "no finish" ends it in good order but early."""
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        last = 1 if self.server.dialect == "openai" else 2  # the others begin with their reasoning
        for n, event in enumerate(_events(self.server.dialect, behaviour), start=1):
            self._chunk(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
            if behaviour in PAUSE_S and self.server.closing.wait(PAUSE_S[behaviour]):
                return
            if behaviour == "cut" and n == last:
                self.wfile.flush()
                return
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def _events(dialect: str, behaviour: str) -> Iterator[dict | str]:
    return _gemini_events(behaviour) if dialect == "google_genai" else _openai_events(dialect, behaviour)


def _openai_events(dialect: str, behaviour: str) -> Iterator[dict | str]:
    def event(delta: dict, finish: str | None = None, logprob: float | None = None) -> dict:
        logprobs = None if logprob is None else {"content": [{"token": "t", "logprob": logprob, "bytes": None, "top_logprobs": []}]}
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], "usage": None}

    if behaviour == "error event":
        yield {"error": {"message": "The server had an error", "type": "server_error", "code": None}}
        return
    if dialect == "deepseek":
        yield event({"role": "assistant", "content": None, "reasoning_content": "Let me think."})
    if behaviour not in ("safety", "empty"):
        for piece, logprob in zip(PIECES * (20 if behaviour == "slow" else 1), LOGPROBS * 20, strict=False):
            yield event({"role": "assistant", "content": piece}, logprob=logprob)
    if behaviour != "no finish":
        yield event({}, finish={"safety": "content_filter", "length": "length"}.get(behaviour, "stop"))
        usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
        if behaviour != "no usage":
            yield {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}
        yield "[DONE]"


def _gemini_events(behaviour: str) -> Iterator[dict | str]:
    def event(parts: list[dict], finish: str | None = None, written: int = 0) -> dict:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0} | ({"finishReason": finish} if finish else {})
        usage = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": written, "totalTokenCount": INPUT_TOKENS + written}
        return {"candidates": [candidate], "modelVersion": "m", "responseId": "r1"} | (
            {} if behaviour == "no usage" else {"usageMetadata": usage}
        )

    if behaviour == "prompt blocked":
        yield {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m", "usageMetadata": {"promptTokenCount": 5}}
        return
    if behaviour == "safety":
        yield {"candidates": [{"finishReason": "SAFETY", "index": 0}], "modelVersion": "m", "usageMetadata": {"promptTokenCount": 5}}
        return
    pieces = [] if behaviour == "empty" else PIECES * (20 if behaviour == "slow" else 1)
    yield event([{"text": "Let me think.", "thought": True}])
    for n, piece in enumerate(pieces):
        yield event([{"text": piece}], written=min(OUTPUT_TOKENS, 10 * (n + 1)))
    if behaviour != "no finish":
        yield event([{"text": ""}], {"length": "MAX_TOKENS"}.get(behaviour, "STOP"), OUTPUT_TOKENS)


def _complete(dialect: str, body: dict) -> dict:
    if dialect == "google_genai":
        candidate = {"content": {"role": "model", "parts": [{"text": "".join(PIECES)}]}, "index": 0, "finishReason": "STOP"}
        counts = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS, "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS}
        return {"candidates": [candidate], "modelVersion": "m", "usageMetadata": counts}
    message = {"role": "assistant", "content": "".join(PIECES)} | ({"reasoning_content": "Let me think."} if dialect == "deepseek" else {})
    logprobs = {"content": [{"token": "t", "logprob": p, "bytes": None, "top_logprobs": []} for p in LOGPROBS]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs if body.get("logprobs") else None}
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
