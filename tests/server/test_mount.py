"""This server's routes and keys on a LangGraph server: nothing there is open to whoever has no key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient

from core.settings import Settings
from store import keys
from store.engine import engine
from store.runs import thread_runs
from tests.server.conftest import chat
from tests.test_langgraph_dev import QUESTION, server  # noqa: F401  # a LangGraph server that runs

TURN: dict[str, Any] = {"assistant_id": "switchyard", "input": {"messages": [{"role": "user", "content": QUESTION}]}}


@dataclass(frozen=True)
class Open:
    """Clients without a key and with one each of ann's, bob's and of carl's, who has a budget."""

    nobody: httpx.Client
    ann: httpx.Client
    bob: httpx.Client
    carl: httpx.Client
    settings: Settings


@pytest.fixture(scope="module")
def on(server: tuple[SyncLangGraphClient, Settings]) -> Iterator[Open]:  # noqa: F811
    client, settings = server
    base = str(client.http.client.base_url)
    before = httpx.get(f"{base}/v1/models")
    assert before.json()["data"][0]["id"] == "switchyard"
    made = engine(settings.database)
    secrets = [keys.create(made, "ann")[1], keys.create(made, "bob")[1], keys.create(made, "carl", budget_usd=5.0)[1]]
    headers = [{}, *({"Authorization": f"Bearer {secret}"} for secret in secrets)]
    clients = [httpx.Client(base_url=base, headers=each, timeout=60) for each in headers]
    yield Open(*clients, settings)
    for each in clients:
        each.close()
    made.dispose()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/v1/threads"), ("POST", "/feedback"),
        ("POST", "/threads"), ("POST", "/threads/search"), ("POST", "/runs/wait"), ("POST", "/assistants/search"), ("POST", "/mcp"),
        ("PUT", "/store/items"), ("POST", "/store/items/search"), ("POST", "/runs/crons/search"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sy-wrong"}, {"x-auth-scheme": "langsmith"}, {"x-api-key": "x"}], ids=str)
def test_nothing_is_open_without_a_key(on: Open, method: str, path: str, headers: dict[str, str]) -> None:
    body = {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}], "run_id": "x", **TURN}
    assert on.nobody.request(method, path, json=body, headers=headers).status_code == 401
    assert on.nobody.get("/healthz").status_code == 200


def test_the_chat_answers_beside_the_graph(on: Open) -> None:
    body = chat(on.ann, QUESTION, metadata={"thread_id": "hers"}).json()
    assert "two minutes" in body["choices"][0]["message"]["content"]
    assert [t["id"] for t in on.ann.get("/v1/threads").json()["data"]] == ["hers"]
    assert on.bob.get("/v1/threads/hers").status_code == 404


def test_threads_of_the_graph_are_their_owners(on: Open) -> None:
    thread = on.ann.post("/threads", json={"metadata": {"owner": "bob"}}).json()["thread_id"]
    state = on.ann.post(f"/threads/{thread}/runs/wait", json=TURN | {"context": {"owner": "bob", "expert": "tea"}}).json()
    assert "answer" in state, state
    assert "two minutes" in state["answer"]["answer"]
    assert [run.owner for run in thread_runs(engine(on.settings.database), thread)] == ["ann"]
    assert on.bob.get(f"/threads/{thread}/state").status_code == 404
    assert on.bob.post(f"/threads/{thread}/runs/wait", json=TURN).status_code == 404
    assert on.bob.delete(f"/threads/{thread}").status_code == 404
    assert on.bob.post("/threads/search", json={}).json() == []
    assert [t["thread_id"] for t in on.ann.post("/threads/search", json={}).json()] == [thread]


def test_what_is_not_for_keys_is_refused(on: Open) -> None:
    assert on.ann.put("/store/items", json={"namespace": ["x"], "key": "k", "value": {}}).status_code == 403
    assert on.ann.post("/assistants", json={"graph_id": "switchyard"}).status_code == 403
    refused = on.carl.post("/runs/wait", json=TURN)
    assert (refused.status_code, "a key with a budget asks at /v1" in refused.text) == (403, True)
    assert chat(on.carl, QUESTION).status_code == 200


def test_an_mcp_client_asks(on: Open) -> None:
    def call(method: str, **params: Any) -> Any:
        headers = {"Accept": "application/json, text/event-stream"}
        response = on.ann.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    (tool,) = call("tools/list")["tools"]
    assert tool["name"] == "switchyard"
    found = call("tools/call", name="switchyard", arguments={"messages": [{"role": "user", "content": QUESTION}]})
    assert "Green tea steeps for two minutes" in str(found["content"])
