"""`langgraph dev` serves the graph: asked through its own client, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from core.settings import ROOT, Settings
from core.types import Answer
from graph.pictures import NO_EYES
from store.engine import engine
from store.runs import thread_runs
from tests.pictures import data_url, picture

QUESTION = "How long does green tea steep?"
KEYS = {
    "answer", "expert", "route", "citations", "passages", "confidence", "confidence_parts", "outcome", "grounded", "cached", "escalation",
    "notices", "models", "cost_usd", "cost_always_superior_usd", "latency_ms", "thread_id", "run_id",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tiny_experts: Path, tiny_indexes: Path
) -> Iterator[tuple[SyncLangGraphClient, Settings]]:
    """The running server's client, and the settings that it runs with; stopped at the end, and expected to stop."""
    folder = tmp_path_factory.mktemp("dev")
    settings = Settings(home=folder / "home", experts_dir=tiny_experts, indexes_dir=tiny_indexes)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "langgraph"), "dev", "--config", str(ROOT / "langgraph.json")]
    command += ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    # Not in the repository: the server keeps its own state in the working folder, and a .env there would be read.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "PYTHONPATH": str(ROOT),
        "SWITCHYARD_HOME": str(settings.home), "SWITCHYARD_EXPERTS": str(tiny_experts), "SWITCHYARD_INDEXES": str(tiny_indexes),
        "LANGSMITH_TRACING": "false", "SWITCHYARD_LOG": "json",
    }  # fmt: skip
    log = folder / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_up(process, address, log)
        with get_sync_client(url=address) as client:
            yield client, settings
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def wait_until_up(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + 150
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/ok", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"The server did not start:\n{log.read_text()[-4000:]}")


def ask(client: SyncLangGraphClient, thread: str | None, question: str | list[dict[str, Any]], **context: Any) -> dict[str, Any]:
    message = {"messages": [{"role": "user", "content": question}]}
    state = client.runs.wait(thread, "switchyard", input=message, context=context)  # type: ignore[call-overload]
    assert isinstance(state, dict)
    return state


def test_an_answer_with_its_citation_and_a_followup_on_the_same_thread(server: tuple[SyncLangGraphClient, Settings]) -> None:
    client, settings = server
    thread = client.threads.create()["thread_id"]
    state = ask(client, thread, QUESTION, expert="tea", owner="ann")
    assert set(state["answer"]) == KEYS
    answer = Answer.from_dict(state["answer"])
    assert "Green tea steeps for two minutes. [1]" in answer.answer
    assert "Green tea steeps for two minutes." in [c.quote for c in answer.citations]
    assert (answer.expert, answer.thread_id) == ("tea", thread)
    assert state["messages"][-1]["content"] == answer.answer

    second = ask(client, thread, "and black tea?")
    assert "four minutes" in second["answer"]["answer"]
    assert [m["type"] for m in second["messages"]] == ["human", "ai", "human", "ai"]
    kept = client.threads.get_state(thread)["values"]
    assert set(kept) <= {"messages", "question", "route", "answer", "summary", "topic", "asked"}
    assert kept["answer"] == second["answer"]

    stored = thread_runs(engine(settings.database), thread)
    assert [(run.question, run.owner) for run in stored] == [(QUESTION, "ann"), ("and black tea?", None)]


def test_steps_and_tokens_stream(server: tuple[SyncLangGraphClient, Settings]) -> None:
    client, _ = server
    message = {"messages": [{"role": "user", "content": QUESTION}]}
    parts = list(client.runs.stream(None, "switchyard", input=message, stream_mode=["custom", "values"]))
    custom = [p.data for p in parts if p.event.startswith("custom")]
    assert [c["type"] for c in custom][:2] == ["route", "passages"]
    answer = [p.data for p in parts if p.event == "values"][-1]["answer"]
    assert "".join(c["data"] for c in custom if c["type"] == "token") == answer["answer"]


def test_a_bad_question_is_the_runs_error_and_the_thread_goes_on(server: tuple[SyncLangGraphClient, Settings]) -> None:
    client, _ = server
    thread = client.threads.create()["thread_id"]
    with pytest.raises(Exception, match="InputError"):
        ask(client, thread, "   ")
    assert "two minutes" in ask(client, thread, QUESTION)["answer"]["answer"]
    assert client.threads.get_state(thread)["values"]["messages"][0]["content"] == QUESTION


def test_pictures_come_as_parts_of_the_message_or_in_the_context(server: tuple[SyncLangGraphClient, Settings]) -> None:
    client, _ = server
    url, hidden = data_url(picture()), [{"kind": "image", "text": NO_EYES}]
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
    state = ask(client, None, parts)
    assert (state["answer"]["notices"], state["messages"][0]["content"]) == (hidden, f"{QUESTION}\n\n[picture]")
    assert ask(client, None, QUESTION, images=[url])["answer"]["notices"] == hidden
    with pytest.raises(Exception, match="InputError"):
        ask(client, None, QUESTION, images=["/etc/passwd"])


def test_the_drawing_shows_a_node_for_each_expert(server: tuple[SyncLangGraphClient, Settings]) -> None:
    client, _ = server
    (assistant,) = client.assistants.search(graph_id="switchyard")
    drawn = client.assistants.get_graph(assistant["assistant_id"])
    names = {str(node["id"]) for node in drawn["nodes"]}
    own = {"prepare", "route", "review", "clarify", "superior", "decline", "decide", "respond"}
    assert names == {"__start__", *own, "tea", "bees", "__end__"}
    schemas = client.assistants.get_schemas(assistant["assistant_id"])
    context = {"expert", "model", "router", "escalate", "images", "review", "owner", "key_id", "live"}
    assert set(schemas["context_schema"]["properties"]) == context  # type: ignore[index]


def test_an_assistant_with_an_expert_is_a_tool_of_its_own(server: tuple[SyncLangGraphClient, Settings]) -> None:
    client, _ = server
    about = "Answers from the documents on bees."
    made = client.assistants.create("switchyard", name="bees", context={"expert": "bees"}, description=about)
    try:
        tools = {tool["name"]: tool["description"] for tool in mcp(client, "tools/list")["tools"]}
        assert (set(tools), tools["bees"]) == ({"switchyard", "bees"}, about)
        asked = {"messages": [{"role": "user", "content": QUESTION}]}
        assert "'expert': 'bees'" in mcp(client, "tools/call", name="bees", arguments=asked)["content"][0]["text"]
    finally:
        client.assistants.delete(made["assistant_id"])


def mcp(client: SyncLangGraphClient, method: str, **params: Any) -> Any:
    """The result of a call, as an MCP client sends it."""
    said = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return client.http.client.post("/mcp", json=said, headers={"Accept": "application/json, text/event-stream"}).json()["result"]
