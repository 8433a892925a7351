"""Bad input: no 5xx, no hang, nothing of another owner's; and what the description promises holds. `make soak` has the long forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.soak.described import check, operations
from benchmarks.soak.fuzz import SECRET, Found, Request, fuzz
from core.settings import Settings
from graph.services import Services
from tests.conftest import close
from tests.server.conftest import Running, chat, running

REQUESTS, EXAMPLES = 300, 10


@pytest.fixture(scope="module")
def on(tiny_experts: Any, tiny_indexes: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    services = Services(Settings(home=tmp_path_factory.mktemp("fuzz"), experts_dir=tiny_experts, indexes_dir=tiny_indexes))
    with running(services) as server:
        yield server
    close(services)


def test_nothing_that_is_sent_breaks_the_server(on: Running) -> None:
    found = fuzz(on.url, on.key("ann"), on.key("bob"), REQUESTS, seeded=True)
    assert found.broken == []
    assert (found.statuses.total(), found.chats > REQUESTS / 2) == (REQUESTS, True)
    assert {200, 400, 401, 404, 405} <= set(found.statuses)
    assert on.state.turns.admitted == 0


def test_the_fuzz_sees_what_must_not_be(on: Running) -> None:
    client, found = on.asking(on.key("ann")), Found()
    said = chat(client, f"How long does green tea steep in {SECRET}?", metadata={"thread_id": "seen"})
    found.look(Request("GET", "/v1/threads/seen", None, {}), client.get("/v1/threads/seen"), 0.0)
    assert said.status_code == 200
    assert [words.partition(" for ")[0] for words in found.broken] == ["ann's words"]


def test_the_description_holds(on: Running) -> None:
    key = on.key("carl")
    found = operations(on.url)
    assert {"POST /v1/chat/completions", "GET /v1/threads/{thread_id}", "POST /feedback", "GET /readyz"} <= {o.label for o in found}
    for operation in found:
        check(operation, on.url, key, EXAMPLES)


@pytest.mark.parametrize(
    "raw", [b"", b"[", b"\xff\xfe", b"[" * 100_000, b'{"model": NaN}', b'"\\ud800"', b"1e999", b"null"], ids=lambda raw: str(raw[:8])
)
def test_what_is_no_json_is_refused(on: Running, raw: bytes) -> None:
    client = on.asking(on.key("dora"))
    response = client.post("/v1/chat/completions", content=raw, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_the_description_names_every_route_and_error(on: Running) -> None:
    described = on.http.get("/openapi.json").json()
    expected = {"/v1/chat/completions", "/v1/route", "/feedback", "/v1/models", "/v1/threads", "/v1/threads/{thread_id}"}
    assert expected | {"/healthz", "/readyz", "/metrics"} <= set(described["paths"])
    assert {"200", "400", "401", "404", "429", "503"} <= set(described["paths"]["/v1/chat/completions"]["post"]["responses"])
