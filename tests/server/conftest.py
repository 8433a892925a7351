"""The server on loopback: a real socket, a real uvicorn, the tiny experts."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import pytest
import uvicorn

from graph.services import Services
from server.app import create_app
from server.state import State
from store import keys
from tests.graph.conftest import table  # noqa: F401  # the application with two scripted models
from ui.commands.serve import KEPT_S, PARSER


@dataclass
class Running:
    """A server that runs. `http` asks it; `asking(key)` asks it with a key."""

    services: Services
    url: str
    state: State
    closing: ExitStack

    @cached_property
    def http(self) -> httpx.Client:
        return self.asking(None)

    def asking(self, key: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Plain HTTP: to load the certificates would take longer than the requests.
        return self.closing.enter_context(httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=False))

    def key(self, owner: str, **limits: Any) -> str:
        return keys.create(self.services.engine, owner, **limits)[1]


@contextmanager
def running(services: Services, **options: Any) -> Iterator[Running]:
    """Serve this application until the block ends."""
    app = create_app(lambda: services, **options)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # httpx lets go of a resting connection after 5 s, as uvicorn would by itself: one might close what the other is about to use.
        kept: dict[str, Any] = {"timeout_keep_alive": KEPT_S, "timeout_graceful_shutdown": 3} | PARSER
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", **kept)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        with ExitStack() as closing:
            yield Running(services, f"http://127.0.0.1:{listening.getsockname()[1]}", app.state.switchyard, closing)
        server.should_exit = True
        # What still loads, in the thread `warm`, would open a connection that nobody closes: ask for `tiny` before `serve`.
        for each in (thread, *(one for one in threading.enumerate() if one.name == "warm")):
            each.join(120)
            assert not each.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """`serve(services)`: a server over them, stopped at the end of the test."""
    with ExitStack() as stack:
        yield lambda services, **options: stack.enter_context(running(services, **options))


def messages(*said: str) -> list[dict[str, str]]:
    """The turns of the user and the assistant, in alternation, the question last."""
    return [{"role": "user" if n % 2 == 0 else "assistant", "content": text} for n, text in enumerate(said)]


def chat(client: httpx.Client, *said: str, model: str = "switchyard", **fields: Any) -> httpx.Response:
    """A chat completion."""
    return client.post("/v1/chat/completions", json={"model": model, "messages": messages(*said), **fields})


@dataclass(frozen=True)
class Event:
    """A chunk of a stream: what it adds to the text, and the whole of it."""

    text: str
    whole: dict[str, Any]


def streamed(client: httpx.Client, *said: str, **fields: Any) -> list[Event]:
    """The chunks of a streamed chat completion, without [DONE], which must be the last line."""
    body = {"model": "switchyard", "messages": messages(*said), "stream": True} | fields
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    found = [json.loads(line) for line in lines]
    return [Event((c["choices"][0]["delta"].get("content") or "") if c["choices"] else "", c) for c in found]
