"""OpenTelemetry's collector and LangSmith on loopback: they take what comes and keep it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Span:
    """A span as the collector got it. parent: the name of the span around it."""

    name: str
    parent: str | None
    attributes: dict[str, Any]
    failed: bool


@dataclass
class Taken:
    """What a server got: whole bodies in their order, whatever was in them."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    @property
    def _otlp(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [resource for body in self.bodies for resource in ExportTraceServiceRequest.FromString(body).resource_spans]

    @property
    def _spans(self) -> list[Any]:
        return [span for resource in self._otlp for scope in resource.scope_spans for span in scope.spans]

    @property
    def spans(self) -> list[Span]:
        """Of all bodies, as OTLP has them."""
        names = {span.span_id: span.name for span in self._spans}
        said = [{a.key: _value(a.value) for a in span.attributes} for span in self._spans]
        failed = [span.status.code == span.status.STATUS_CODE_ERROR for span in self._spans]
        return [Span(s.name, names.get(s.parent_span_id), *rest) for s, *rest in zip(self._spans, said, failed, strict=True)]

    @property
    def traces(self) -> set[str]:
        """The ids of the traces that the spans belong to."""
        return {span.trace_id.hex() for span in self._spans}

    @property
    def resource(self) -> dict[str, Any]:
        """What all spans have in common."""
        return {a.key: _value(a.value) for a in self._otlp[0].resource.attributes}

    @property
    def text(self) -> str:
        """Everything, to look for what must not be in it."""
        return b"\n".join(self.bodies).decode("utf-8", "replace")

    @property
    def runs(self) -> list[dict[str, Any]]:
        """LangSmith's runs, one for each time that it was told of one."""
        return [json.loads(found) for found in re.findall(r'^\{"id":.*\}\r?$', self.text, re.M)]


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(v) for v in value.array_value.values] if kind == "array_value" else getattr(value, kind)


INFO = json.dumps(
    {
        "version": "1",
        "instance_flags": {},
        "batch_ingest_config": {
            "use_multipart_endpoint": True,
            "size_limit": 100,
            "size_limit_bytes": 20_000_000,
            "scale_up_qsize_trigger": 1_000,
            "scale_up_nthreads_limit": 16,
            "scale_down_nempty_trigger": 4,
        },
    }
).encode()
"""What LangSmith says of itself."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._reply(INFO)

    def do_POST(self) -> None:
        chunked = self.headers.get("transfer-encoding") == "chunked"
        self.server.taken.bodies.append(b"".join(self._chunks()) if chunked else self.rfile.read(int(self.headers["content-length"])))
        self._reply(b"{}")

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken = Taken(f"http://127.0.0.1:{self.server_port}")


@contextmanager
def taking() -> Iterator[Taken]:
    """A server that takes all that is sent to it."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
