"""A provider that fails, over HTTP: as long as nothing was shown another model answers, with a notice; then the error has one status."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from core.errors import (
    AuthenticationFailedError,
    BlockedAnswerError,
    GarbledAnswerError,
    IndexFault,
    InputError,
    MissingKeyError,
    ModelError,
    ModelTimeoutError,
    ModelUnavailableError,
    RateLimitedError,
    RejectedRequestError,
    StoreError,
    SwitchyardError,
    TruncatedAnswerError,
    UnknownNameError,
)
from llms.fake import ScriptedModel
from server.errors import body, refusal
from tests.graph.conftest import QUESTION, Table
from tests.llms.wire import Server, closed_port
from tests.llms.wire import serve as provider
from tests.server.conftest import Running, chat, messages, streamed

SPEC = "openai:weak"
DEADLINE_S = {"hang": 1.0, "a token a minute": 3.0}
"""Where it is what the test is about; else 20 seconds."""


@contextmanager
def asked(
    serve: Callable[..., Running], table: Callable[..., Table], *behaviours: str, live: bool = False
) -> Iterator[tuple[Running, Server]]:
    """The server, and the provider that both its tiers are at."""
    with provider("openai", *behaviours) as hosted:
        yield serve(table([], live=live, **at(hosted.url, DEADLINE_S.get(behaviours[0], 20.0))).services), hosted


def at(url: str, deadline_s: float = 20.0) -> dict[str, Any]:
    return {
        "inferior": SPEC,
        "superior": SPEC,
        "base_urls": {"openai": url},
        "model_deadline_s": deadline_s,
        "policy": {"accept_at": 0.0, "retry_at": 0.0, "answer_at": 0.0},
    }


def check_fallback(on: Running, said: str, *, begun: bool = False) -> None:
    """Whole and streamed: the local reader answers, and the one notice tells why, and who answers instead.

    begun: the provider had begun to answer, and is paid for that.
    """
    whole, stream = chat(on.http, QUESTION), streamed(on.http, QUESTION)
    assert whole.status_code == 200
    for answer in (whole.json()["switchyard"], stream[-1].whole["switchyard"]):
        assert [use["model"] for use in answer["models"]] == [*([SPEC] if begun else []), "local:reader"]
        assert all(use["input_tokens"] > 0 for use in answer["models"])
        (notice,) = answer["notices"]
        assert notice["kind"] == "fallback"
        assert notice["text"].startswith(f"{SPEC} {said}")
        assert notice["text"].endswith("Asked local:reader instead.")
    assert "two minutes" in whole.json()["choices"][0]["message"]["content"]
    assert "two minutes" in "".join(event.text for event in stream)
    assert "switchyard_fallbacks_total 2.0" in on.http.get("/metrics").text


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("429 long wait", "had too many requests (429): Too many requests."),
        ("quota", "refused the request (429): You exceeded your current quota."),
        ("500", "is not available (500): Internal error."),
        ("401", "refused the key (401): Bad credentials."),
        ("garbage", "sent something that is no answer"),
        ("garbage event", "sent something that is no answer"),
        ("hang", "did not finish its answer in 1 s."),
        ("safety", "withheld its answer (content_filter)."),
    ],
)
def test_before_the_first_word_another_model_answers(
    serve: Callable[..., Running], table: Callable[..., Table], behaviour: str, said: str
) -> None:
    with asked(serve, table, behaviour) as (on, _):
        check_fallback(on, said, begun=behaviour == "safety")


@pytest.mark.parametrize(
    ("behaviour", "said"), [("cut", "broke off its answer"), ("no finish", "broke off its answer"), ("a token a minute", "did not finish")]
)
def test_a_draft_that_nobody_was_shown_is_written_anew(
    serve: Callable[..., Running], table: Callable[..., Table], behaviour: str, said: str
) -> None:
    with asked(serve, table, behaviour) as (on, _):
        check_fallback(on, said, begun=True)


def test_a_provider_that_nobody_reaches(serve: Callable[..., Running], table: Callable[..., Table]) -> None:
    on = serve(table([], **at(f"http://127.0.0.1:{closed_port()}/v1")).services)
    check_fallback(on, "is not available: Connection error.")


def test_a_short_wait_that_the_provider_asks_for_is_kept(serve: Callable[..., Running], table: Callable[..., Table]) -> None:
    with provider("openai", "429", "ok") as hosted:
        on = serve(table([], **at(hosted.url) | {"model_retries": 1}).services)
        answer = chat(on.http, QUESTION).json()["switchyard"]
        assert [use["model"] for use in answer["models"]] == [SPEC]
        assert answer["notices"] == []
        assert len(hosted.bodies) == 2


@pytest.mark.parametrize(("behaviour", "said"), [("cut", "broke off its answer"), ("a token a minute", "did not finish its answer in 3 s")])
def test_words_that_were_shown_stay_with_a_notice_and_are_stored(
    serve: Callable[..., Running], table: Callable[..., Table], behaviour: str, said: str
) -> None:
    with asked(serve, table, behaviour, live=True) as (on, _):
        start = time.monotonic()
        found = streamed(on.http, QUESTION, metadata={"thread_id": "t"})
        assert time.monotonic() - start < 30
        answer = found[-1].whole["switchyard"]
        assert "".join(event.text for event in found).startswith(answer["answer"])
        assert found[-1].whole["choices"][0]["finish_reason"] == "length"
        assert [use["model"] for use in answer["models"]] == [SPEC]
        (notice,) = answer["notices"]
        assert (notice["kind"], said in notice["text"]) == ("truncated", True)
        assert [thread["id"] for thread in on.http.get("/v1/threads").json()["data"]] == ["t"]
        assert on.state.turns.admitted == 0
        # Who waits for the whole answer has seen nothing: another model's is as good.
        assert chat(on.http, QUESTION).json()["switchyard"]["models"][-1]["model"] == "local:reader"


def check_error(response: httpx.Response, status: int, code: str, said: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, set(error)) == (status, {"message", "type", "param", "code"})
    assert (error["type"], error["code"], error["param"]) == ("server_error", code, None)
    assert said in error["message"]


def check_streamed_error(client: httpx.Client, code: str, said: str) -> None:
    response = client.post("/v1/chat/completions", json={"model": "switchyard", "messages": messages(QUESTION), "stream": True})
    last = [line for line in response.text.splitlines() if line][-1]
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (response.status_code, error["code"]) == (200, code)
    assert said in error["message"]


@pytest.mark.parametrize(
    ("error", "status", "code", "kind"),
    [
        (InputError("?"), 400, None, "invalid_request_error"),
        (UnknownNameError("expert", "x", []), 400, None, "invalid_request_error"),
        (ModelTimeoutError("?"), 504, "model_timeout", "server_error"),
        (RateLimitedError("?", retry_after_s=3), 503, "model_failed", "server_error"),
        *((kind("?"), 502, "model_failed", "server_error") for kind in (
            MissingKeyError, ModelUnavailableError, AuthenticationFailedError, RejectedRequestError, TruncatedAnswerError,
            BlockedAnswerError, GarbledAnswerError, ModelError)),
        (StoreError("?"), 503, "store_failed", "server_error"),
        (IndexFault("?"), 503, None, "server_error"),
        (SwitchyardError("?"), 503, None, "server_error"),
        (ZeroDivisionError("?"), 500, "internal_error", "server_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)  # fmt: skip
def test_each_error_has_one_status(error: Exception, status: int, code: str | None, kind: str) -> None:
    refused = refusal(error)
    told = body(refused)["error"]
    assert (refused.status, told["code"], told["type"]) == (status, code, kind)


def test_where_no_model_answers_the_wait_is_passed_on(serve: Callable[..., Running], table: Callable[..., Table]) -> None:
    made = table([])
    made.services._load = lambda *_: ScriptedModel(replies=[RateLimitedError("Too many.", retry_after_s=7.2)] * 3)
    on = serve(made.services)
    response = chat(on.http, QUESTION)
    check_error(response, 503, "model_failed", "Too many.")
    assert response.headers["Retry-After"] == "8"
    check_streamed_error(on.http, "model_failed", "Too many.")
