"""Bad input: whatever is sent, the answer is one of the client's own faults, quickly, and never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.services import Services
from server.schema import ChatRequest
from tests.server.conftest import Running, running

TEXT = st.text(max_size=30) | st.sampled_from(["\x00", "\ud800", "../../etc", "x" * 9000, "' OR 1=1 --", "{{7*7}}", "\u202e"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8)
ROLES = st.sampled_from(["user", "assistant", "system", "tool", "king"])
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url", "x"])}, optional={"text": TEXT | st.none()}), max_size=3
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": TEXT | PARTS | VALUES}), max_size=4)
FIELDS: dict[str, Any] = dict.fromkeys(ChatRequest.model_fields, VALUES) | {
    "model": st.sampled_from(["switchyard", "switchyard/tea", "switchyard/superior", "gpt"]) | TEXT,
    "messages": MESSAGES,
    "stream": st.booleans(),
    "metadata": st.dictionaries(st.sampled_from(["thread_id", "x"]), TEXT, max_size=2) | VALUES,
}
BODIES = (
    st.fixed_dictionaries(
        {"model": FIELDS["model"], "messages": MESSAGES}, optional={n: v for n, v in FIELDS.items() if n not in ("model", "messages")}
    )
    | VALUES
)
ROUTES = ["/v1/chat/completions", "/v1/route", "/feedback"]


@pytest.fixture(scope="module")
def on(tiny_experts: Any, tiny_indexes: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    from core.settings import Settings
    from tests.conftest import close

    services = Services(Settings(home=tmp_path_factory.mktemp("fuzz"), experts_dir=tiny_experts, indexes_dir=tiny_indexes))
    with running(services) as server:
        yield server
    close(services)


def post(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    return client.post(path, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(ROUTES), body=BODIES)
def test_no_body_breaks_the_server(on: Running, path: str, body: Any) -> None:
    response = post(on.http, path, body)
    assert response.status_code < 500, response.text
    if response.status_code != 200:
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
    else:
        assert '"code": "internal_error"' not in response.text


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "DELETE", "POST", "PUT"]),
    path=st.sampled_from(["/v1/threads/", "/v1/models/", "/"]),
    rest=TEXT,
    header=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
)
def test_no_path_and_no_header_does_either(on: Running, method: str, path: str, rest: str, header: str) -> None:
    quoted = httpx.QueryParams({"x": rest.encode("utf-8", "replace").decode()[:200]})
    response = on.http.request(method, f"{path}{str(quoted)[2:]}", headers={"X-Thread-Id": header, "Authorization": header})
    assert response.status_code < 500


@pytest.mark.parametrize(
    "raw", [b"", b"[", b"\xff\xfe", b"[" * 100_000, b'{"model": NaN}', b'"\\ud800"', b"1e999", b"null"], ids=lambda raw: str(raw[:8])
)
def test_what_is_no_json_is_refused(
    on: Running,
    raw: bytes,
) -> None:
    response = on.http.post("/v1/chat/completions", content=raw, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_the_description_names_every_route_and_error(on: Running) -> None:
    described = on.http.get("/openapi.json").json()
    assert {*ROUTES, "/v1/models", "/v1/threads", "/v1/threads/{thread_id}", "/healthz", "/readyz", "/metrics"} <= set(described["paths"])
    assert {"200", "400", "401", "404", "429", "503"} <= set(described["paths"]["/v1/chat/completions"]["post"]["responses"])
