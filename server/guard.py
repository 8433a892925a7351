"""Around every request: how large it may be, the security headers, and what is counted of it."""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.metrics import Metrics

MOST_BYTES = 16 * 1024 * 1024
"""Room for the pictures of a question, which base64 makes a third longer."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
"""For everything but the page of the documentation, which has a policy of its own."""


class Guard:
    """Pure ASGI: what streams passes through untouched."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; anything but HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, read = time.perf_counter(), 0, 0
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0
        # What sends in chunks may never end; what ends soon is read, so that its sender sees the answer.
        endless = "transfer-encoding" in headers or declared >= 2 * MOST_BYTES

        async def counted() -> Message:
            nonlocal read, endless
            message = await receive()
            read += len(message.get("body", b""))
            if max(read, declared) > MOST_BYTES:
                raise HTTPException(413, f"Expected a request of at most {MOST_BYTES:,} bytes.")
            endless = endless and message.get("more_body", False)
            return message

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _secure(MutableHeaders(scope=message))
                if endless:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, counted, guarded)
        finally:
            # The route's pattern and not its path: a label for each thread would fill the memory.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, status or 500).inc()
            self._metrics.latency.labels(route).observe(time.perf_counter() - started)


def _secure(headers: MutableHeaders) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Content-Security-Policy", NO_CONTENT)
    headers.setdefault("Cache-Control", "no-store")
