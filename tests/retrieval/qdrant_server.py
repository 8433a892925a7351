"""A stand-in for a Qdrant server: the routes of its REST API that are used here, on loopback, over the client library's local mode.

`with serve() as server:` then `server.url`. Requests are read with the library's own models of the wire format. With `serve(key="...")` it
asks for that key. `server.answers` holds statuses that the next requests get instead; 0 closes the connection without an answer.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qdrant_client import QdrantClient, models

COLLECTION = r"/collections/([^/]+)"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, key: str | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.local = QdrantClient(":memory:")
        self.key = key
        self.answers: list[int] = []
        self.asked: list[str] = []
        self.lock = threading.Lock()  # local mode is made for one thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve(key: str | None = None) -> Iterator[Server]:
    server = Server(key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
        server.local.close()


def create(local: QdrantClient, name: str, body: models.CreateCollection) -> Any:
    return local.create_collection(name, body.vectors, metadata=body.metadata)


def upsert(local: QdrantClient, name: str, body: models.PointsBatch) -> Any:
    return local.upsert(name, body.batch)


def scroll(local: QdrantClient, name: str, body: models.ScrollRequest) -> Any:
    points, following = local.scroll(name, limit=body.limit, offset=body.offset, with_payload=body.with_payload)
    return {"points": [p.model_dump() for p in points], "next_page_offset": following}


def query(local: QdrantClient, name: str, body: models.QueryRequest) -> Any:
    return local.query_points(name, body.query, query_filter=body.filter, limit=body.limit, with_payload=body.with_payload)


ROUTES: list[tuple[str, str, Any, Callable[..., Any]]] = [
    ("GET", "/", None, lambda local: {"title": "qdrant", "version": "1.20.0"}),
    ("GET", "/aliases", None, lambda local: local.get_aliases()),
    ("POST", "/collections/aliases", models.ChangeAliasesOperation, lambda local, body: local.update_collection_aliases(body.actions)),
    ("GET", "/collections", None, lambda local: local.get_collections()),
    ("GET", COLLECTION, None, lambda local, name: local.get_collection(name)),
    ("PUT", COLLECTION, models.CreateCollection, create),
    ("PATCH", COLLECTION, models.UpdateCollection, lambda local, name, body: local.update_collection(name, metadata=body.metadata)),
    ("DELETE", COLLECTION, None, lambda local, name: local.delete_collection(name)),
    ("PUT", f"{COLLECTION}/points", models.PointsBatch, upsert),
    ("POST", f"{COLLECTION}/points", models.PointRequest, lambda local, name, body: local.retrieve(name, body.ids, with_vectors=True)),
    ("POST", f"{COLLECTION}/points/count", models.CountRequest, lambda local, name, body: local.count(name)),
    ("POST", f"{COLLECTION}/points/scroll", models.ScrollRequest, scroll),
    ("POST", f"{COLLECTION}/points/query", models.QueryRequest, query),
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {path}")
        if self.server.answers:
            status = self.server.answers.pop(0)
            if not status:
                self.close_connection = True
                return
            self.answer(status, {"status": {"error": "as told"}})
        elif self.server.key and self.headers.get("api-key") != self.server.key:
            self.answer(401, {"status": {"error": "no key"}})
        else:
            self.answer(*self.result(path, content))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def result(self, path: str, content: bytes) -> tuple[int, Any]:
        for method, pattern, kind, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                body = [kind.model_validate_json(content)] if kind else []
                try:
                    with self.server.lock:
                        found = handler(self.server.local, *match.groups(), *body)
                except ValueError as error:  # what local mode raises for a collection that is not there
                    return 404, {"status": {"error": str(error)}}
                return 200, found if path == "/" else {"result": plain(found), "status": "ok", "time": 0.0}
        raise AssertionError(f"the stand-in does not know {self.command} {path}")

    def answer(self, status: int, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def plain(found: Any) -> Any:
    if isinstance(found, list):
        return [plain(item) for item in found]
    return found.model_dump(mode="json") if hasattr(found, "model_dump") else found
