"""A provider on loopback that counts what it charges for: an idempotency key is charged once."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from tests.llms.wire import Handler

INPUT_TOKENS, OUTPUT_TOKENS = 40, 10
Reply = Callable[[str, str], str]
"""(model, last message) -> the reply, or a status such as "500"."""


class Provider(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, reply: Reply, delay_s: float) -> None:
        super().__init__(("127.0.0.1", 0), Charging)
        self.reply, self.delay_s = reply, delay_s
        self.lock = threading.Lock()
        self.requests: list[tuple[str, str, str]] = []
        """(model, last message, idempotency key) of every request."""
        self.charged: Counter[tuple[str, str]] = Counter()
        """(model, last message) -> times charged."""
        self.keys: set[str] = set()
        self.at_once = self.most_at_once = 0
        self.bodies: list[dict] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def provide(reply: Reply = lambda _, prompt: f"Echo: {prompt}", delay_s: float = 0.0) -> Iterator[Provider]:
    server = Provider(reply, delay_s)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Charging(Handler):
    server: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call, key = (body["model"], body["messages"][-1]["content"]), self.headers["Idempotency-Key"]
        self.close_connection = True
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.requests.append((*call, key))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            try:
                time.sleep(self.server.delay_s)
                said = self.server.reply(*call)
            finally:
                with self.server.lock:  # before the reply, upon which the next call comes
                    self.server.at_once -= 1
            if said.isdigit() and len(said) == 3:
                self._error(said, int(said), "Out of order")
                return
            with self.server.lock:
                if key not in self.server.keys:
                    self.server.keys.add(key)
                    self.server.charged[call] += 1
            self._stream_text(said)
        except OSError:
            pass

    def _error(self, behaviour: str, status: int, message: str) -> None:
        body = {"error": {"message": message, "type": "error", "param": None, "code": None}}
        self._whole(status, json.dumps(body).encode(), "application/json", {"Retry-After": "0.02"} if status == 429 else {})

    def _stream_text(self, text: str) -> None:
        frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
        events = [
            {**frame, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}], "usage": None},
            {**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
            {**frame, "choices": [], "usage": usage},
        ]
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        for event in [*map(json.dumps, events), "[DONE]"]:
            self._chunk(f"data: {event}\n\n".encode())
        self._chunk(b"")
