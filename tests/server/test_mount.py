"""This server's routes and keys on a LangGraph server: nothing there is open to whoever has no key."""

from __future__ import annotations

import json
import re
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


def fields(path: str, **given: str) -> str:
    """A path of the description, its parameters filled in."""
    return re.sub(r"\{(\w+)\}", lambda name: given.get(name[1], "x"), path)


def logged(on: Open) -> list[dict[str, Any]]:
    """What the server has written of turns."""
    lines = (on.settings.home.parent / "log.txt").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if '"event": "turn"' in line]


def every_route(on: Open) -> list[tuple[str, str]]:
    """(method, path) of all that the LangGraph server describes: its own routes and ours."""
    described = on.ann.get("/openapi.json").json()["paths"]
    return [(method, path) for path, methods in described.items() for method in methods if method != "parameters"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sy-wrong"}, {"x-auth-scheme": "langsmith"}, {"x-api-key": "x"}], ids=str)
def test_nothing_but_what_describes_the_server_is_open_without_a_key(on: Open, headers: dict[str, str]) -> None:
    routes = every_route(on)
    assert {("post", "/threads"), ("post", "/runs/wait"), ("put", "/store/items"), ("post", "/v1/chat/completions")} <= set(routes)
    found = {path for method, path in routes if on.nobody.request(method, fields(path), headers=headers).status_code != 401}
    assert found == {"/docs", "/healthz", "/info", "/metrics", "/ok", "/readyz"}
    for path in ("/mcp", "/a2a/x"):
        assert on.nobody.post(path, json={}, headers=headers).status_code == 401


def test_of_web_pages_only_langsmiths_studio_may_call(on: Open) -> None:
    wanted = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "content-type,x-auth-scheme"}
    for origin, allowed in (("https://smith.langchain.com", "https://smith.langchain.com"), ("https://page.example", None)):
        preflight = on.nobody.options("/threads/search", headers={"Origin": origin, **wanted})
        read = on.nobody.get("/info", headers={"Origin": origin})
        assert [r.headers.get("access-control-allow-origin") for r in (preflight, read)] == [allowed, allowed]
        assert preflight.status_code == (200 if allowed else 400)


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
    item, cron = {"namespace": ["x"], "key": "k", "value": {}}, TURN | {"schedule": "* * * * *"}
    assert on.ann.put("/store/items", json=item).status_code == 403
    assert on.ann.get("/store/items", params={"namespace": "x", "key": "k"}).status_code == 403
    assert on.ann.post("/store/items/search", json={"namespace_prefix": ["x"]}).status_code == 403
    assert on.ann.post("/store/namespaces", json={}).status_code == 403
    assert on.ann.post("/runs/crons", json=cron).status_code == 403
    assert on.ann.post("/runs/crons/search", json={}).status_code == 403
    assert on.ann.post("/assistants", json={"graph_id": "switchyard"}).status_code == 403
    unfitted = on.ann.post("/runs/wait", json=TURN | {"context": {"router": "logistic"}})
    assert (unfitted.status_code, "no request fits one" in unfitted.text) == (400, True)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "switchyard", "arguments": TURN["input"]}}
    for path, body in (("/runs/wait", TURN), ("/mcp", call)):
        refused = on.carl.post(path, json=body, headers={"Accept": "application/json, text/event-stream"})
        assert (refused.status_code, "a key with a budget asks at /v1" in refused.text) == (403, True), path
    assert chat(on.carl, QUESTION).status_code == 200


def test_a_key_names_no_model_but_those_that_are_set(on: Open) -> None:
    for model in ("auto", "superior", "local:reader", None):
        answered = on.ann.post("/runs/wait", json=TURN | {"context": {"model": model, "expert": "tea"}})
        assert (answered.status_code, "two minutes" in answered.text) == (200, True), model
    for model in ("openai:gpt-5", "local:/etc", "fake:x", ["local:reader"]):
        for said in ({"context": {"model": model}}, {"config": {"configurable": {"model": model}}}):
            refused = on.ann.post("/runs/wait", json=TURN | said)
            assert refused.status_code == 400, said
            assert "Known: auto, superior, local:reader, local:deep-reader." in refused.json()["detail"]


def test_an_mcp_client_asks(on: Open) -> None:
    def call(method: str, **params: Any) -> Any:
        headers = {"Accept": "application/json, text/event-stream"}
        response = on.ann.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    (tool,) = call("tools/list")["tools"]
    assert (tool["name"], tool["description"].partition(",")[0]) == ("switchyard", "Answers a question")
    found = call("tools/call", name="switchyard", arguments={"messages": [{"role": "user", "content": QUESTION}]})
    assert "Green tea steeps for two minutes" in str(found["content"])


def test_no_route_gives_away_or_changes_what_is_anothers(on: Open) -> None:
    thread = on.ann.post("/threads", json={}).json()["thread_id"]
    message = {"role": "user", "content": f"My name is Quetzalcoatl. {QUESTION}"}
    assert on.ann.post(f"/threads/{thread}/runs/wait", json=TURN | {"input": {"messages": [message]}}).status_code == 200
    before = on.ann.get(f"/threads/{thread}/state").json()
    (run,) = on.ann.get(f"/threads/{thread}/runs").json()
    (assistant,) = on.ann.post("/assistants/search", json={}).json()
    ids = {"thread_id": thread, "run_id": run["run_id"], "assistant_id": assistant["assistant_id"], "checkpoint_id": run["run_id"]}
    body = TURN | {"metadata": {"owner": "bob"}, "thread_ids": [thread], "namespace": ["x"], "namespace_prefix": ["x"], "key": "k"}
    body |= {"config": {"configurable": {"thread_id": thread}}, "graph_id": "switchyard", "channels": ["values"]}
    statuses = {}
    for method, path in every_route(on):
        more = {"values": {"messages": []}} if path.endswith("/state") else {}
        response = on.bob.request(method, fields(path, **ids), json=body | more if method in ("post", "put", "patch") else None)
        assert "Quetzalcoatl" not in response.text, path
        statuses[f"{method} {path}"] = response.status_code
    named = {route: status for route, status in statuses.items() if "/threads/{thread_id}" in route and "stream" not in route}
    assert {route: status for route, status in named.items() if status not in (400, 403, 404, 409, 422)} == {}
    assert [status for route, status in statuses.items() if status >= 500] == []
    assert on.ann.get(f"/threads/{thread}/state").json() == before
    # A run in a thread of his own, or in none, that names hers wherever LangGraph might look for it.
    his = on.bob.post("/threads", json={}).json()["thread_id"]
    named_hers = {"thread_id": thread, "checkpoint_ns": ""}
    for more in ({"config": named_hers}, {"config": {"configurable": named_hers}}, {"context": named_hers}, {"checkpoint": named_hers}):
        response = on.bob.post(f"/threads/{his}/runs/wait", json=TURN | more)
        assert (response.status_code, "Quetzalcoatl" in response.text) == (200, False), more
        for path in ("state", "history"):
            assert "Quetzalcoatl" not in on.bob.get(f"/threads/{his}/{path}").text, (path, more)
    assert "Quetzalcoatl" not in on.bob.post("/runs/wait", json=TURN | {"config": named_hers}).text
    assert on.ann.get(f"/threads/{thread}/state").json() == before
    # What its owner may do with it.
    assert on.ann.post(f"/threads/{thread}/copy").status_code == 200
    assert on.ann.post(f"/threads/{thread}/state", json={"values": None}).status_code == 200
    assert on.ann.patch(f"/threads/{thread}", json={"metadata": {"owner": "bob"}}).json()["metadata"]["owner"] == "ann"
    assert on.bob.get(f"/threads/{thread}").status_code == 404


def test_a_run_is_its_callers_whatever_it_says(on: Open) -> None:
    for more in ({"context": {"owner": "bob"}}, {"config": {"configurable": {"owner": "bob"}}}, {"metadata": {"owner": "bob"}}):
        thread = on.ann.post("/threads", json={}).json()["thread_id"]
        status = on.ann.post(f"/threads/{thread}/runs/wait", json=TURN | more).status_code
        owners = {run.owner for run in thread_runs(engine(on.settings.database), thread)}
        assert (status, owners) in ((200, {"ann"}), (400, set())), more
    keys_own = {key.owner: key.key_id for key in keys.listed(engine(on.settings.database))}
    forged = {"key_id": keys_own["bob"], "owner": "bob", "thread_id": "bobs"}
    said = [
        {"context": forged},
        {"config": {"configurable": forged}},
        {"config": {"metadata": forged}},
        {"config": forged},
        {"metadata": forged},
    ]
    before = len(logged(on))
    for more in said:
        thread = on.ann.post("/threads", json={"metadata": forged}).json()["thread_id"]
        # A turn that fails has no answer, whose thread_id the line would hold.
        assert "InputError" in on.ann.post(f"/threads/{thread}/runs/wait", json=TURN | {"input": {"messages": []}} | more).text
        (run,) = on.ann.get(f"/threads/{thread}/runs").json()
        signed = {"key_id": keys_own["ann"], "owner": "ann", "thread_id": thread}
        assert {name: run["metadata"][name] for name in forged} == signed
        line = logged(on)[-1]
        assert (line["outcome"], line["key_id"], line["thread_id"]) == ("failed", keys_own["ann"], thread)
    assert "InputError" in on.ann.post("/runs/wait", json=TURN | {"input": {"messages": []}, "metadata": forged}).text
    line = logged(on)[-1]
    assert (line["key_id"], line["thread_id"] == "bobs", len(logged(on))) == (keys_own["ann"], False, before + len(said) + 1)
    refused = on.ann.post("/runs/wait", json=TURN | {"webhook": "https://93.184.216.34/hook"})
    assert (refused.status_code, "calls no address for a key" in refused.text) == (403, True)
