"""Who may do what: keys, limits, and conversations that only their owner sees; and what nobody sees."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from benchmarks.soak.process import until_ready
from core.errors import StoreError
from core.settings import Settings
from graph.services import Services
from server.access import identify
from server.app import worth_a_line
from server.errors import Refused
from server.guard import MOST_BYTES
from store import keys
from store.engine import engine
from store.runs import threads
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.llms import wire
from tests.postgres import BOTH
from tests.server.conftest import Running, chat, streamed

PROVIDERS_KEY = "sk-provider-0123456789abcdef"
POSTS = ("/v1/chat/completions", "/v1/route", "/feedback")
Serve = Callable[..., Running]
Make = Callable[..., Table]


def test_once_there_is_a_key_nobody_comes_in_without_one(serve: Serve, table: Make) -> None:
    on = serve(table([GOOD] * 2).services)
    assert chat(on.http, QUESTION).status_code == 200
    made = on.key("ann")
    routes = [
        ("POST", "/v1/chat/completions", {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}]}),
        ("POST", "/v1/route", {"text": QUESTION}), ("POST", "/feedback", {"run_id": "x", "rating": 1}), ("GET", "/v1/models", None),
        ("GET", "/v1/models/switchyard", None), ("GET", "/v1/threads", None), ("GET", "/v1/threads/t", None),
        ("DELETE", "/v1/threads/t", None), ("GET", "/metrics", None),
    ]  # fmt: skip
    for method, path, body in routes:
        for client in (on.http, on.asking("sy-wrong"), on.asking(made[:-1])):
            refused = client.request(method, path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key"), path
            assert refused.headers["www-authenticate"] == "Bearer"
    assert on.http.get("/healthz").status_code == 200
    assert chat(on.asking(made), QUESTION).status_code == 200
    keys.revoke(on.services.engine, keys.listed(on.services.engine)[0].key_id)
    assert chat(on.asking(made), QUESTION).status_code == 401


def test_every_route_that_is_described_asks_for_a_key_but_health(serve: Serve, table: Make) -> None:
    on = serve(table([]).services)
    on.key("ann")
    until_ready(on.url, 200)
    statuses = {
        f"{method} {path}": on.http.request(method, path.replace("{thread_id}", "t").replace("{model}", "m"), json={}).status_code
        for path, methods in on.http.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    assert len(statuses) > 8
    assert {route: status for route, status in statuses.items() if status != 401} == {"get /healthz": 200, "get /readyz": 200}


@pytest.mark.parametrize("framing", [f"Content-Length: {MOST_BYTES}", "Content-Length: 999999999999", "Transfer-Encoding: chunked"])
def test_a_wrong_key_is_refused_before_the_body_is_sent(serve: Serve, table: Make, framing: str) -> None:
    on = serve(table([]).services)
    on.key("ann")
    described = on.http.get("/openapi.json").json()["paths"]
    assert {path for path, methods in described.items() if "post" in methods} == set(POSTS)
    for path in POSTS:
        for key in ("", "Authorization: Bearer sy-wrong\r\n"):
            with socket.create_connection(("127.0.0.1", int(on.url.rpartition(":")[2])), timeout=60) as client:
                client.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Type: application/json\r\n{framing}\r\n\r\n".encode()
                )
                said = client.recv(65_536)
                assert said.startswith(b"HTTP/1.1 401 "), said
                ends = b"connection: close" in said.lower()
                assert ends == (str(MOST_BYTES) not in framing)
                while ends and client.recv(65_536):
                    pass  # until the server has closed the connection: what never ends need not be sent


@pytest.mark.parametrize(
    ("address", "host", "allowed"),
    [
        ("127.0.0.1", "localhost:8000", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "[::1]:8000", True),
        ("127.0.0.1", "127.0.0.2:8000", True),
        ("127.0.0.1", "10.0.0.9", False),
        ("127.0.0.1", "evil.example:8000", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "[", False),
        ("127.0.0.1", "", False),
        ("10.0.0.9", "localhost:8000", False),
        ("", "localhost", False),
    ],
)
def test_without_keys_only_this_machine_by_its_own_name(table: Make, address: str, host: str, allowed: bool) -> None:
    services = table([]).services
    headers = {"authorization": "Bearer anything", "host": host}
    if allowed:
        assert identify(services, headers, address).owner is None
    # Whoever a proxy on this machine speaks for is elsewhere.
    proxied = [headers | {name: "10.0.0.9"} for name in ("x-forwarded-for", "forwarded", "x-real-ip")]
    for said in proxied if allowed else [headers]:
        with pytest.raises(Refused, match="Without keys only this machine may ask") as refused:
            identify(services, said, address)
        assert refused.value.status == 401


@BOTH
def test_another_owners_thread_cannot_be_seen_named_or_deleted(tiny: Services, serve: Serve) -> None:
    on = serve(tiny)
    ann, bob, anns_other = on.asking(on.key("ann")), on.asking(on.key("bob")), on.asking(on.key("ann"))
    hers = chat(ann, QUESTION, metadata={"thread_id": "secret"}).json()["switchyard"]
    assert hers["thread_id"] == "secret"
    # 404 for what could be there, 400 for what could not: neither says whether somebody else has it.
    for name, status in (("secret", 404), ("nothing", 404), ("ann:secret", 400), ("ann%3Asecret", 400), ("a" * 65, 400)):
        for method in ("GET", "DELETE"):
            assert bob.request(method, f"/v1/threads/{name}").status_code == status, name
    assert chat(bob, QUESTION, metadata={"thread_id": "ann:secret"}).status_code == 400
    body = {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}]}
    assert bob.post("/v1/chat/completions", json=body, headers={"X-Thread-Id": "ann:secret"}).status_code == 400
    assert bob.get("/v1/threads").json()["data"] == []
    # The same name is another conversation: nothing of hers is known in it.
    chat(bob, "and black tea?", metadata={"thread_id": "secret"})
    assert [t["question"] for t in bob.get("/v1/threads/secret").json()["turns"]] == ["and black tea?"]
    assert [t["id"] for t in anns_other.get("/v1/threads").json()["data"]] == ["secret"]
    assert bob.delete("/v1/threads/secret").status_code == 200
    assert [t["question"] for t in ann.get("/v1/threads/secret").json()["turns"]] == [QUESTION]
    assert threads(tiny.engine) == []


def test_no_route_gives_away_what_is_anothers(serve: Serve, tiny: Services) -> None:
    on = serve(tiny)
    ann, bob = on.asking(on.key("ann")), on.asking(on.key("bob"))
    hers = chat(ann, f"My name is Quetzalcoatl. {QUESTION}", metadata={"thread_id": "t"}).json()["switchyard"]
    body = {"run_id": hers["run_id"], "thread_id": "t", "rating": 1, "text": "x", "model": "switchyard",
        "messages": [{"role": "user", "content": "What is my name?"}], "metadata": {"thread_id": "t"}}  # fmt: skip
    got = {}
    for path, methods in on.http.get("/openapi.json").json()["paths"].items():
        for method in methods:
            response = bob.request(method, path.replace("{thread_id}", "t").replace("{model}", "switchyard"), json=body)
            got[f"{method} {path}"] = response.status_code
            for hidden in ("Quetzalcoatl", hers["run_id"]):
                assert hidden not in response.text.replace(f"got '{hers['run_id']}'", ""), path
    # Of the one that is told what it sent.
    assert got["post /feedback"] == 400
    assert (got["delete /v1/threads/{thread_id}"], got["get /v1/threads"]) == (200, 200)  # his own, which he has just begun
    assert len(ann.get("/v1/threads/t").json()["turns"]) == 1
    assert ann.post("/feedback", json={"run_id": hers["run_id"], "rating": 1}).status_code == 200


def test_a_keys_rate_holds(serve: Serve, table: Make) -> None:
    on = serve(table([GOOD]).services)
    client = on.asking(on.key("ann", per_minute=2))
    assert [client.get("/v1/models").status_code for _ in range(2)] == [200, 200]
    refused = client.get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["type"], refused.json()["error"]["code"]) == (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
    )
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert on.asking(on.key("bob")).get("/v1/models").status_code == 200


@BOTH
def test_a_rate_holds_over_servers_and_requests_at_once(tiny: Services, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    # The clock stands: after twelve seconds another request would be let through.
    monkeypatch.setattr("store.keys.time", SimpleNamespace(time=lambda: now, gmtime=time.gmtime, strftime=time.strftime))
    one, two = serve(tiny), serve(tiny)
    key = one.key("ann", per_minute=5)
    clients = [one.asking(key), two.asking(key)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: clients[n % 2].get("/v1/models").status_code, range(24)))
    assert sorted(statuses) == [200] * 5 + [429] * 19


def test_no_secret_is_in_any_log_or_answer_of_a_session(
    serve: Serve, scripted: Callable[..., Services], caplog: pytest.LogCaptureFixture, capfd: Any, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    with wire.serve("openai", "401", "429", "500", "garbage", "cut", "ok") as provider:
        hosted = {"inferior": "openai:gpt-5-mini", "superior": "openai:gpt-5", "model_retries": 0}
        services = scripted({}, keys={"openai": PROVIDERS_KEY}, base_urls={"openai": provider.url}, **hosted)
        on = serve(services)
        secret = on.key("ann")
        client, wrong = on.asking(secret), on.asking(secret + "x")
        said += [chat(client, QUESTION, model="switchyard/tea").text for _ in range(7)]
        said += [e.text for e in streamed(client, QUESTION, model="switchyard/tea")]
        for path in ("/v1/models", "/v1/threads", "/metrics", "/openapi.json", "/docs", "/readyz", f"/v1/threads/{secret[:60]}"):
            said += [client.get(path).text.replace(secret[:60], ""), wrong.get(path).text.replace(secret[:60], "")]
        said.append(client.post("/feedback", json={"run_id": "x"}).text)
    away = Settings(home=tmp_path / "away", database_url="postgresql://ann:hunter2-secret@127.0.0.1:9/none")
    with pytest.raises(StoreError) as refused:
        engine(away.database)
    assert str(refused.value).endswith("See that it runs and can be reached, and check DATABASE_URL.")
    captured = capfd.readouterr()
    everything = "\n".join([*said, caplog.text, captured.out, captured.err, str(refused.value), repr(away), repr(services.settings)])
    assert "gpt-5-mini" in everything  # the provider was asked
    for hidden in (secret, secret[3:20], PROVIDERS_KEY, PROVIDERS_KEY[3:20], "hunter2-secret"):
        assert hidden not in everything.replace(f"/v1/threads/{secret[:60]}", "")
    stored = [p.read_bytes() for p in services.settings.home.rglob("*") if p.is_file()]
    assert len(stored) > 1
    assert not [1 for file in stored if secret.encode() in file or PROVIDERS_KEY.encode() in file]


def test_security_headers_and_no_cors(serve: Serve, table: Make) -> None:
    on = serve(table([]).services)
    for response in (on.http.get("/healthz"), on.http.get("/nothing"), chat(on.http, "")):
        headers = response.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"
    asked = on.http.get("/v1/models", headers={"Origin": "https://page.example"})
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_is_bounded_whether_or_not_it_says_its_length(serve: Serve, table: Make, chunked: bool) -> None:
    on = serve(table([]).services)
    key = on.key("ann")
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        while read < 100 * MOST_BYTES:
            read += 65_536
            yield b" " * 65_536

    stranger = on.http, "/v1/route", 401, "authentication_error"
    for client, path, status, kind in (*((on.asking(key), p, 413, "invalid_request_error") for p in POSTS), stranger):
        read = 0
        try:
            refused = client.post(
                path, content=chunks() if chunked else b" " * (MOST_BYTES + 1), headers={"Content-Type": "application/json"}
            )
            assert (refused.status_code, refused.json()["error"]["type"]) == (status, kind)
        except httpx.TransportError:  # the server has closed the connection before all was sent
            assert chunked
        assert read < 20 * MOST_BYTES
    assert on.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "begun", [b"GET /", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"GET / HTTP/1.1\r\n"], ids=["line", "header", "headers"]
)
def test_what_comes_before_a_body_is_bounded(serve: Serve, table: Make, begun: bytes) -> None:
    on = serve(table([]).services)
    more = b"x: y\r\n" * 10_000 if begun.endswith(b"\n") else b"c" * 65_536
    sent = 0
    with socket.create_connection(("127.0.0.1", int(on.url.rpartition(":")[2])), timeout=60) as client:
        client.sendall(begun)
        with pytest.raises(ConnectionError):
            while sent < 2 * MOST_BYTES:
                client.sendall(more)
                sent += len(more)
    assert sent < MOST_BYTES
    # What is usual passes, with room for the cookies of other servers on this machine.
    assert on.http.get("/healthz", headers={"Cookie": "c" * 32_768}).status_code == 200


def test_who_asks_for_a_websocket_writes_nothing_into_the_log(serve: Serve, table: Make, caplog: pytest.LogCaptureFixture) -> None:
    on = serve(table([]).services)
    uvicorns = logging.getLogger("uvicorn.error")
    uvicorns.addFilter(worth_a_line)
    try:
        assert on.http.get("/healthz", headers={"Connection": "Upgrade", "Upgrade": "websocket"}).json() == {"status": "ok"}
        uvicorns.warning("Something else.")
    finally:
        uvicorns.removeFilter(worth_a_line)
    assert [record.getMessage() for record in caplog.records if record.name == uvicorns.name] == ["Something else."]


def test_cors_for_the_pages_that_are_named(serve: Serve, table: Make) -> None:
    on = serve(table([]).services, origins=["https://page.example"])
    allowed, other = (on.http.get("/v1/models", headers={"Origin": f"https://{name}.example"}) for name in ("page", "other"))
    assert allowed.headers["access-control-allow-origin"] == "https://page.example"
    assert "access-control-allow-origin" not in other.headers
