"""Serve the API over HTTP, for programs that speak OpenAI's."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from typing import Annotated, Any

import typer

from core.errors import InputError, StoreError
from ui.console import left_at_once, say

app = typer.Typer(add_completion=False, rich_markup_mode=None)
STOP_S = 30
"""How long running turns may go on once the server is told to stop."""
KEPT_S = 75
"""How long a connection that rests is kept."""
PARSER: dict[str, Any] = {"http": "h11", "h11_max_incomplete_event_size": 65_536}
"""How requests are read. httptools, which uvicorn takes where it is installed, lets anybody send a request line or a header without end."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 for all networks.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="The port.")] = 8000,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes that share the work.")] = 1,
) -> None:
    """Serve the API over HTTP, for programs that speak OpenAI's."""
    from core.settings import settings
    from store.engine import engine
    from store.keys import any_key

    try:
        open_ = not any_key(engine(settings().database))
    except StoreError as error:
        if not _loopback(host):  # it might be without keys
            raise
        open_ = False
        say(f"{error} The server waits for it.")
    if open_ and not _loopback(host):
        raise InputError(f"Without keys the server listens on this machine only, not on {host}. Make one: switchyard key create OWNER")
    _check_port(host, port)
    with left_at_once():
        import uvicorn

        if workers == 1:
            import server.app  # noqa: F401  # not by uvicorn: in the midst of it, a library makes an error of its own of Ctrl-C

    _notice_the_dead()
    say(f"Switchyard serves http://{_shown(host)}:{port}/v1 and describes itself at /docs (Ctrl-C stops it).", style="bold")
    if open_:
        say("No keys yet: it listens on this machine only and lets everyone on it ask. Make one: switchyard key create OWNER")
    with tempfile.TemporaryDirectory(prefix="switchyard-metrics-") as together:
        if workers > 1:
            # For the workers, which inherit it: their metrics are added up through files there.
            os.putenv("PROMETHEUS_MULTIPROC_DIR", together)
        uvicorn.run(
            "server.app:serve",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_level="warning",
            server_header=False,
            # Whoever can set X-Forwarded-For could pass for this machine.
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=STOP_S,
            # Longer than a proxy keeps its connections: whoever closes first must not be the one who is asked.
            timeout_keep_alive=KEPT_S,
            # A worker that is still importing on a busy machine is not a dead one.
            timeout_worker_healthcheck=60,
            **PARSER,
        )


def _notice_the_dead() -> None:
    """Have uvicorn's supervisor notice at once when a worker dies while it is asked whether it lives.

    The supervisor keeps the worker's end of the pipe open, and so would wait for the answer as long as for that of a busy one; meanwhile
    nobody takes the worker's place, and Ctrl-C is not heard.
    """
    from uvicorn.supervisors.multiprocess import Process

    start = Process.start

    def started(self: Process) -> None:
        start(self)
        self.child_conn.close()

    Process.start = started  # type: ignore[method-assign]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"{host}, port {port}, cannot be used: {error.strerror}. Try: switchyard serve --port {port % 65535 + 1}"
            ) from None
