"""Who may do what: keys, limits, budgets, and conversations that only their owner sees."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from graph.services import Services
from server.access import identify
from server.errors import Refused
from store import keys
from store.runs import threads
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.postgres import BOTH
from tests.server.conftest import Running, chat, streamed

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
    described = on.http.get("/openapi.json").json()["paths"]
    open_ = set()
    for path, methods in described.items():
        for method in methods:
            status = on.http.request(method, path.replace("{thread_id}", "t").replace("{model}", "m"), json={}).status_code
            open_ |= {path} if status not in (400, 401) else set()
            assert status != 400 or method == "post"
    assert open_ == {"/healthz", "/readyz"}


@pytest.mark.parametrize(
    ("address", "host", "allowed"),
    [
        ("127.0.0.1", "localhost:8000", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "[::1]:8000", True),
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
    if allowed:
        assert identify(services, "Bearer anything", address, host).owner is None
    else:
        with pytest.raises(Refused, match="Without keys only this machine may ask") as refused:
            identify(services, "Bearer anything", address, host)
        assert refused.value.status == 401


@BOTH
def test_another_owners_thread_cannot_be_seen_named_or_deleted(serve: Serve, tiny: Services) -> None:
    on = serve(tiny)
    ann, bob, anns_other = on.asking(on.key("ann")), on.asking(on.key("bob")), on.asking(on.key("ann"))
    hers = chat(ann, QUESTION, metadata={"thread_id": "secret"}).json()["switchyard"]
    assert hers["thread_id"] == "secret"
    for name in ("secret", "ann:secret", "ann%3Asecret"):
        assert bob.get(f"/v1/threads/{name}").status_code in (400, 404)
        assert bob.delete(f"/v1/threads/{name}").status_code in (400, 404)
    assert bob.get("/v1/threads").json()["data"] == []
    assert bob.post("/feedback", json={"run_id": hers["run_id"], "rating": 1}).status_code == 400
    # The same name is another conversation: nothing of hers is known in it.
    his = chat(bob, "and black tea?", metadata={"thread_id": "secret"}).json()["switchyard"]
    assert (his["outcome"], len(bob.get("/v1/threads/secret").json()["turns"])) != ("answered", 2)
    assert [t["id"] for t in anns_other.get("/v1/threads").json()["data"]] == ["secret"]
    assert len(ann.get("/v1/threads/secret").json()["turns"]) == 1
    assert bob.delete("/v1/threads/secret").status_code == 200
    assert len(ann.get("/v1/threads/secret").json()["turns"]) == 1
    assert threads(tiny.engine) == []


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


@pytest.fixture
def priced(table: Make) -> Callable[[str], Table]:
    """`priced("fake:weak")`: the tables' models, the weak one under a spec that costs a dollar a token."""

    def make(prices: str) -> Table:
        from llms.fake import ScriptedModel

        weak = ScriptedModel(replies=[GOOD] * 3)
        made = table([], models={"openai:toll": weak}, inferior="openai:toll")
        made.services.settings.home.mkdir(parents=True, exist_ok=True)
        (made.services.settings.home / "prices.toml").write_text(prices)
        return made

    return make


def test_a_spent_budget_ends_the_asking(serve: Serve, priced: Callable[[str], Table]) -> None:
    on = serve(priced('["openai:toll"]\ninput = 0\noutput = 1000000\n').services)
    client = on.asking(on.key("ann", budget_usd=10.0))
    costs = [streamed(client, QUESTION)[-1].whole["switchyard"]["cost_usd"] for _ in range(2)]
    assert costs == [8.0, 8.0]
    refused = chat(client, QUESTION)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert refused.json()["error"]["message"] == "This key's budget of $10 for this month is spent."
    assert [key.spent_usd for key in keys.listed(on.services.engine)] == [16.0]
    assert client.post("/v1/route", json={"text": QUESTION}).status_code == 200
    cost = next(line for line in client.get("/metrics").text.splitlines() if line.startswith("switchyard_cost_usd_total{"))
    assert cost == 'switchyard_cost_usd_total{model="openai:toll"} 16.0'


def test_a_budget_without_a_price_lets_nothing_through(serve: Serve, priced: Callable[[str], Table]) -> None:
    on = serve(priced("").services)
    refused = chat(on.asking(on.key("ann", budget_usd=10.0)), QUESTION)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "unknown_price")
    assert "the price of openai:toll is unknown" in refused.json()["error"]["message"]
    assert chat(on.asking(on.key("bob")), QUESTION).json()["switchyard"]["cost_usd"] is None


def test_no_key_is_ever_logged(serve: Serve, table: Make, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.DEBUG)
    on = serve(table([GOOD]).services)
    secret = on.key("ann")
    chat(on.asking(secret), QUESTION)
    on.asking(secret + "x").get(f"/v1/models?key={secret[:20]}")
    said = capfd.readouterr()
    assert secret[3:20] not in caplog.text.replace(f"key={secret[:20]}", "") + said.out + said.err


def test_security_headers_and_no_cors(serve: Serve, table: Make) -> None:
    on = serve(table([]).services)
    for response in (on.http.get("/healthz"), on.http.get("/nothing"), chat(on.http, "")):
        headers = response.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"
    asked = on.http.get("/v1/models", headers={"Origin": "https://page.example"})
    assert "access-control-allow-origin" not in asked.headers


def test_cors_for_the_pages_that_are_named(serve: Serve, table: Make) -> None:
    on = serve(table([]).services, origins=["https://page.example"])
    allowed, other = (on.http.get("/v1/models", headers={"Origin": f"https://{name}.example"}) for name in ("page", "other"))
    assert allowed.headers["access-control-allow-origin"] == "https://page.example"
    assert "access-control-allow-origin" not in other.headers
