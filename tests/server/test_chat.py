"""The chat endpoint: OpenAI's form, streamed and whole, through OpenAI's own client and LangChain's."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from openai import BadRequestError, NotFoundError, OpenAI

from core.errors import ModelUnavailableError, StoreError
from graph.services import Services
from llms.fake import ScriptedModel
from server.markdown import without_sources
from server.turns import Turns
from store.runs import thread_runs
from tests.graph.conftest import BAD, GOOD, QUESTION, Table
from tests.server.conftest import Running, chat, streamed

Serve = Callable[..., Running]
Make = Callable[..., Table]
IMAGE: dict[str, Any] = {"type": "image_url"}
SHOWN = (
    "Green tea steeps for two minutes. [1]\n\n**Sources**\n\n"
    "- [1] **Brewing a Cup: Time** (Written for the tests): “Green tea steeps for two minutes.”"
)


def test_a_whole_answer_in_openais_form(serve: Serve, table: Make) -> None:
    on = serve(table([GOOD]).services)
    response = chat(on.http, QUESTION, temperature=0.2, max_tokens=5, user="somebody")
    body = response.json()
    assert response.status_code == 200
    assert (body["object"], body["model"], body["id"][:9]) == ("chat.completion", "switchyard", "chatcmpl-")
    (choice,) = body["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": SHOWN, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    answer = body["switchyard"]
    (use,) = answer["models"]
    assert body["usage"] == {
        "prompt_tokens": use["input_tokens"],
        "completion_tokens": use["output_tokens"],
        "total_tokens": use["input_tokens"] + use["output_tokens"],
    }
    assert (answer["expert"], answer["outcome"], answer["cost_usd"]) == ("tea", "answered", 0.0)
    (stored,) = thread_runs(on.services.engine, answer["run_id"])
    # A turn that stands alone is named like its run: nothing goes on from it.
    assert stored.answer | {"thread_id": None} == answer
    assert on.http.get("/v1/threads").json()["data"] == []


def test_only_final_text_is_streamed_and_the_object_comes_last(serve: Serve, table: Make) -> None:
    on = serve(table([["Volcanoes ", "erupt lava."], [BAD]], [GOOD]).services)
    found = streamed(on.http, QUESTION, stream_options={"include_usage": True})
    assert "".join(event.text for event in found) == SHOWN
    assert found[0].whole["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    *_, last, usage = (event.whole for event in found)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert (last["switchyard"]["outcome"], last["switchyard"]["expert"]) == ("escalated", "tea")
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == sum(m["input_tokens"] + m["output_tokens"] for m in last["switchyard"]["models"])
    assert {event.whole["id"] for event in found} == {last["id"]}


def test_a_live_draft_streams_piece_by_piece(serve: Serve, table: Make) -> None:
    on = serve(table([["Green tea ", "steeps for two", " minutes [1]."]], live=True).services)
    texts = [event.text for event in streamed(on.http, QUESTION)]
    assert texts[:4] == ["", "Green tea", " steeps for two", " minutes [1]."]
    assert without_sources("".join(texts)) == "Green tea steeps for two minutes [1]."


def test_only_the_list_below_an_assistants_message_is_cut_off(serve: Serve, table: Make) -> None:
    own = "Two minutes.\n\n**Sources**\n\n- my own"
    assert [without_sources(text) for text in (own + SHOWN[SHOWN.index("\n") :], SHOWN, "None.", "")] == [own, f"{GOOD} [1]", "None.", ""]
    made = table([QUESTION, GOOD])
    quoted = f"What does this mean?{SHOWN[SHOWN.index(chr(10)) :]}"
    said = chat(serve(made.services).http, quoted, SHOWN, "And in winter?", model="switchyard/tea")
    assert said.status_code == 200
    assert [m.text for m in made.weak.history[-1][1:3]] == [quoted, f"{GOOD} [1]"]


def test_the_messages_are_the_conversation(serve: Serve, table: Make) -> None:
    made = table(["How long does green tea steep in winter?", GOOD])
    system = {"role": "system", "content": "Speak like a pirate."}
    said = [system, *({"role": r, "content": t} for r, t in (("user", QUESTION), ("assistant", SHOWN), ("user", "And in winter?")))]
    body = serve(made.services).http.post("/v1/chat/completions", json={"model": "switchyard/tea", "messages": said}).json()
    rewriting, sent = made.weak.history
    assert rewriting[-1].text.endswith("Last message: And in winter?")
    assert [(m.type, m.text) for m in sent[1:3]] == [("human", QUESTION), ("ai", f"{GOOD} [1]")]
    assert sent[-1].text.endswith("Question: How long does green tea steep in winter?")
    assert "pirate" not in "".join(m.text for m in [*rewriting, *sent])
    assert body["switchyard"]["thread_id"] is None


@pytest.mark.parametrize("header", [True, False], ids=["header", "metadata"])
def test_a_thread_goes_on(serve: Serve, tiny: Services, header: bool) -> None:
    http = serve(tiny).http
    named: dict[str, Any] = {} if header else {"metadata": {"thread_id": "t-1"}}
    http.headers.update({"X-Thread-Id": "t-1"} if header else {})
    chat(http, QUESTION, **named)
    body = chat(http, "and black tea?", **named).json()
    assert "four minutes" in body["choices"][0]["message"]["content"]
    assert body["switchyard"]["thread_id"] == "t-1"
    (listed,) = http.get("/v1/threads").json()["data"]
    assert (listed["id"], listed["title"], listed["turns"]) == ("t-1", QUESTION, 2)
    read = http.get("/v1/threads/t-1").json()
    assert [turn["question"] for turn in read["turns"]] == [QUESTION, "and black tea?"]
    assert read["turns"][1]["switchyard"] == body["switchyard"]
    assert http.delete("/v1/threads/t-1").json() == {"id": "t-1", "object": "thread.deleted", "deleted": True}
    assert http.get("/v1/threads/t-1").status_code == http.delete("/v1/threads/t-1").status_code == 404


def test_a_thread_is_named_once_and_empty_is_absent(serve: Serve, table: Make) -> None:
    http = serve(table([GOOD] * 2).services).http
    http.headers["X-Thread-Id"] = "t-1"
    both = chat(http, QUESTION, metadata={"thread_id": "t-2"})
    assert (both.status_code, both.json()["error"]["param"]) == (400, "thread_id")
    assert chat(http, QUESTION, metadata={"thread_id": ""}).json()["switchyard"]["thread_id"] == "t-1"
    http.headers["X-Thread-Id"] = ""
    assert chat(http, QUESTION, switchyard=None).json()["switchyard"]["thread_id"] is None


def test_the_models_are_the_experts_and_the_superior_one(serve: Serve, table: Make) -> None:
    on = serve(table([GOOD] * 2, [GOOD] * 2).services)
    listed = [model["id"] for model in on.http.get("/v1/models").json()["data"]]
    assert listed == ["switchyard", "switchyard/bees", "switchyard/tea", "switchyard/superior"]
    assert on.http.get("/v1/models/switchyard/tea").json()["name"] == "Switchyard: Tea"
    named = chat(on.http, "How long does a summer worker live?", model="switchyard/tea").json()["switchyard"]
    assert (named["expert"], named["models"][0]["model"]) == ("tea", "fake:weak")
    strong = chat(on.http, QUESTION, model="switchyard/superior").json()["switchyard"]
    assert [(m["model"], m["tier"]) for m in strong["models"]] == [("fake:strong", "superior")]
    assert (strong["expert"], strong["escalation"]["reason"]) == ("tea", "it was asked for")


def test_openais_client(serve: Serve, table: Make) -> None:
    on = serve(table([GOOD] * 3).services)
    with OpenAI(base_url=f"{on.url}/v1", api_key="unused", max_retries=0) as client:
        assert [m.id for m in client.models.list()][:2] == ["switchyard", "switchyard/bees"]
        said: Any = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
        whole = client.chat.completions.create(model="switchyard", messages=said, metadata={"thread_id": "mine"})
        assert whole.choices[0].message.content == SHOWN
        assert (whole.model_extra or {})["switchyard"]["thread_id"] == "mine"
        chunks = list(client.chat.completions.create(model="switchyard", messages=said, stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == SHOWN
        assert (chunks[-1].model_extra or {})["switchyard"]["citations"][0]["n"] == 1
        with pytest.raises(NotFoundError, match="No model is called 'gpt-4'") as lost:
            client.chat.completions.create(model="gpt-4", messages=said)
        assert (lost.value.code, lost.value.param) == ("model_not_found", "model")
        with pytest.raises(BadRequestError, match="tools: is not supported"):
            client.chat.completions.create(model="switchyard", messages=said, tools=[{"type": "function", "function": {"name": "f"}}])


def test_langchains_client(serve: Serve, table: Make) -> None:
    on = serve(table([GOOD] * 2).services)
    model = ChatOpenAI(model="switchyard", base_url=f"{on.url}/v1", api_key="unused", max_retries=0, stream_usage=True)  # type: ignore[arg-type]
    whole = model.invoke(QUESTION)
    assert whole.text == SHOWN
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == max(1, len(GOOD) // 4)
    pieces = list(model.stream(QUESTION))
    assert "".join(piece.text for piece in pieces) == SHOWN
    assert sum((piece.usage_metadata or {}).get("output_tokens", 0) for piece in pieces) == whole.usage_metadata["output_tokens"]


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages", "expected a message of the role user as the last one"),
        ({"messages": [{"role": "king", "content": "Hi"}]}, "messages.0.role", "Input should be 'system'"),
        ({"messages": [{"role": "user", "content": " "}]}, None, "Expected a question; got an empty one"),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, None, "at most 8,000 characters; got 9,000"),
        ({"n": 2}, "n", "is not supported"),
        ({"n": 0}, "n", "is not supported"),
        ({"logprobs": True}, "logprobs", "is not supported"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages.0.content.0.type",
            "type input_audio is not supported",
        ),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content", "expected a text, or a list of parts"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages.0.content.0", "valid dictionary"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages.0.content.0.type", "Field required"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages.0.content.0.text", "valid string"),
        ({"messages": [{"role": "user", "content": [IMAGE | {"image_url": 7}]}]}, "messages.0.content.0.image_url", 'expected {"url"'),
        (
            {"messages": [{"role": "user", "content": [IMAGE | {"image_url": {"url": 7}}]}]},
            "messages.0.content.0.image_url.url",
            "valid string",
        ),
        ({"modalities": ["text", "audio"]}, "modalities", "is not supported"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio", "is not supported"),
        ({"top_logprobs": 1}, "top_logprobs", "is not supported"),
        ({"switchyard": {"resume": ""}, "metadata": {"thread_id": "t"}}, "switchyard.resume", "at least 1 character"),
        ({"response_format": {"type": "json_object"}}, "response_format", "is not supported"),
        ({"metadata": {"thread_id": "a b"}}, "thread_id", "expected 1 to 64 letters"),
        ({"stream": "perhaps"}, "stream", "valid boolean"),
    ],
)
def test_a_bad_request_is_told_what_was_expected(serve: Serve, table: Make, fields: dict[str, Any], param: str | None, says: str) -> None:
    on = serve(table([]).services)
    valid = {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}]}
    response = on.http.post("/v1/chat/completions", json=valid | fields)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert says in error["message"]


def test_what_is_done_anyway_may_be_asked_for(serve: Serve, table: Make) -> None:
    usual = {"n": 1, "tools": [], "functions": [], "response_format": {"type": "text"}, "logprobs": False, "top_logprobs": 0}
    on = serve(table([GOOD] * 2).services)
    assert chat(on.http, QUESTION, **usual, modalities=["text"], audio=None).status_code == 200
    assert chat(on.http, QUESTION, **dict.fromkeys([*usual, "modalities", "audio"])).status_code == 200


def test_other_errors_have_openais_form_too(serve: Serve, table: Make) -> None:
    http = serve(table([]).services).http
    large = http.post("/v1/chat/completions", content=b" " * 17_000_000, headers={"Content-Type": "application/json"})
    assert (large.status_code, large.json()["error"]["message"]) == (413, "Expected a request of at most 16,777,216 bytes.")
    for kind, says in (
        ("application/json", "body: not JSON, at character 11"),
        ("application/problem+json; charset=utf-8", "body: not JSON, at character 11"),
        ("text/plain", "body: expected Content-Type: application/json"),
        ("text/json", "body: expected Content-Type: application/json"),
    ):
        broken = http.post("/v1/chat/completions", content=b'{"model": "x', headers={"Content-Type": kind})
        error = {"type": "invalid_request_error", "message": says, "param": "body", "code": None}
        assert (broken.status_code, broken.json()["error"]) == (400, error)
    assert http.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    assert http.put("/v1/models").status_code == 405
    assert http.get("/v1/threads/").json()["error"]["type"] == "not_found_error"


def test_a_model_that_fails_is_an_error_before_and_within_a_stream(serve: Serve, table: Make) -> None:
    made = table([])
    down = ModelUnavailableError("The models are down.")
    made.services._load = lambda *_: ScriptedModel(replies=[down] * 9)  # the local reader that stands in is down too
    on = serve(made.services)
    whole = chat(on.http, QUESTION)
    assert (whole.status_code, whole.json()["error"]["code"]) == (502, "model_failed")
    said = {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    lines = [line for line in on.http.post("/v1/chat/completions", json=said).text.splitlines() if line]
    assert '"code": "model_failed"' in lines[-1]
    assert "[DONE]" not in lines[-1]


def test_an_unknown_error_stays_in_the_log(serve: Serve, table: Make, caplog: pytest.LogCaptureFixture) -> None:
    made = table([RuntimeError("the secret is sy-1234")])
    made.services._load = lambda *_: ScriptedModel(replies=[RuntimeError("the secret is sy-1234")] * 9)
    response = chat(serve(made.services).http, QUESTION)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "sy-1234" not in response.text


class Slow(ScriptedModel):
    """Waits for `going` before it says anything; `began`: it does."""

    going: Any = None
    began: Any = None

    def _stream(self, *arguments: Any, **keywords: Any) -> Any:
        if self.began:
            self.began.set()
        self.going.wait(120)
        return super()._stream(*arguments, **keywords)


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_who_leaves_stops_its_turn(serve: Serve, table: Make, stream: bool) -> None:
    going, began = threading.Event(), threading.Event()
    on = serve(table([], models={"fake:weak": Slow(replies=[GOOD] * 2, going=going, began=began)}).services)
    body = json.dumps({"model": "switchyard", "stream": stream, "messages": [{"role": "user", "content": QUESTION}]})
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", int(on.url.rpartition(":")[2])), timeout=60) as client:
        client.sendall("\r\n".join([*lines, "", body]).encode())
        assert began.wait(60)
        assert on.state.turns.admitted == 1
    assert until(lambda: on.state.turns.admitted == 0)
    assert not going.is_set()
    going.set()
    assert chat(on.http, QUESTION).status_code == 200
    assert 'switchyard_turns_total{expert="tea",outcome="answered"} 1.0' in on.http.get("/metrics").text


def test_who_comes_when_too_many_wait_is_told_to_come_back(serve: Serve, table: Make) -> None:
    going = threading.Event()
    on = serve(table([], models={"fake:weak": Slow(replies=[GOOD] * 3, going=going)}).services)
    on.state.turns = Turns(on.state.metrics, running=1, waiting=1)
    found: list[int] = []
    asking = [threading.Thread(target=lambda: found.append(chat(on.http, QUESTION).status_code)) for _ in range(2)]
    for n, thread in enumerate(asking, 1):
        thread.start()
        assert until(lambda n=n: on.state.turns.admitted == n)  # type: ignore[misc]
    counted = on.http.get("/metrics").text
    assert "switchyard_turns_running 1.0\nswitchyard_turns_waiting 1.0" in "\n".join(x for x in counted.splitlines() if x[0] != "#")
    refused = chat(on.http, QUESTION)
    assert (refused.status_code, refused.json()["error"]["code"], refused.headers["retry-after"]) == (503, "busy", "1")
    going.set()
    for thread in asking:
        thread.join(60)
    assert found == [200, 200]
    assert "switchyard_turns_refused_total 1.0" in on.http.get("/metrics").text


def test_a_dry_run_spends_nothing(serve: Serve, table: Make) -> None:
    made = table([])
    found = serve(made.services).http.post("/v1/route", json={"text": QUESTION}).json()
    assert found["expert"] == "tea"
    assert set(found["scores"]) == {"tea", "bees", "out_of_scope"}
    assert made.weak.history == []


def test_a_dry_run_fits_no_router_and_asks_no_model(serve: Serve, table: Make, tmp_path: Path, encoder_cache: Path) -> None:
    (tmp_path / "indexes").mkdir()
    (tmp_path / "indexes" / ".encoder").symlink_to(encoder_cache, target_is_directory=True)
    made = table([], router="transformer", indexes_dir=tmp_path / "indexes")
    http = serve(made.services).http

    def refused(kind: str) -> tuple[int, str, str]:
        response = http.post("/v1/route", json={"text": QUESTION, "router": kind})
        error = response.json()["error"]
        return response.status_code, error["param"], error["message"].partition(": ")[2]

    assert refused("similarity") == (400, "router", 'switchyard route "any question" --router similarity')
    assert refused("logistic") == (400, "router", "switchyard train router --kind logistic")
    assert http.post("/v1/route", json={"text": QUESTION, "router": "llm"}).json()["error"]["message"] == (
        "Nothing is spent on a dry run, and the router llm asks a chat model. Name another as router, or ask the question."
    )
    assert http.post("/v1/route", json={"text": QUESTION, "router": "nobody"}).status_code == 400
    assert http.post("/v1/route", json={"text": QUESTION, "router": "majority"}).json()["router"] == "majority"
    assert "similarity" not in vars(made.services)
    assert made.weak.history == []


def test_feedback_goes_to_the_run(serve: Serve, table: Make) -> None:
    on = serve(table([GOOD]).services)
    run_id = chat(on.http, QUESTION).json()["switchyard"]["run_id"]
    given = on.http.post("/feedback", json={"run_id": run_id, "rating": -1, "expert": "bees", "wrong_citations": [1]})
    assert (given.status_code, given.json()["object"]) == (200, "feedback")
    assert on.http.post("/feedback", json={"run_id": "nobodys", "rating": 1}).status_code == 400


def test_health_and_readiness(serve: Serve, table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    on = serve(table([]).services)
    assert on.http.get("/healthz").json() == {"status": "ok"}
    assert until(lambda: on.http.get("/readyz").status_code == 200)
    assert [on.http.head(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]

    def gone(_engine: Any) -> bool:
        raise StoreError("no database")

    monkeypatch.setattr("server.health.any_key", gone)
    assert (on.http.get("/readyz").status_code, on.http.get("/readyz").json()) == (503, {"status": "the database does not answer"})
    assert on.http.get("/healthz").status_code == 200


def test_what_is_missing_at_the_start_is_waited_for(serve: Serve, table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.health.AGAIN_S", 0.05)
    services = table([GOOD]).services
    reader = services.settings.artifacts_dir / "reader"
    aside = reader.rename(reader.with_name("aside"))
    on = serve(services)
    assert until(lambda: on.http.get("/readyz").json() == {"status": "not ready: see the server's log"})
    aside.rename(reader)
    assert until(lambda: on.http.get("/readyz").status_code == 200)
