"""Image parts of OpenAI's chat: what a model that sees gets, what is refused, and that nothing of them is logged."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import OpenAI

from core.pictures import open_pictures
from graph.pictures import NO_EYES
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.pictures import BLACK, SECRET, data_url, eyes, photo, picture, pictures_of
from tests.server.conftest import Running, streamed

Serve = Callable[..., Running]
Make = Callable[..., Table]


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def asked(client: httpx.Client, *parts: dict[str, Any], before: list[dict[str, Any]] | None = None, **fields: Any) -> httpx.Response:
    """A chat completion, whose last message has these parts."""
    messages = [*(before or []), {"role": "user", "content": list(parts)}]
    return client.post("/v1/chat/completions", json={"model": "switchyard", "messages": messages, **fields})


TEXT = {"type": "text", "text": QUESTION}


def test_openais_client_sends_a_picture_to_a_model_that_sees(serve: Serve, table: Make) -> None:
    t = table([GOOD] * 2)
    eyes(t.services, "fake:weak")
    on = serve(t.services)
    said: Any = [{"role": "user", "content": [TEXT, image(data_url(photo(), "image/jpeg"))]}]
    with OpenAI(base_url=f"{on.url}/v1", api_key="unused", max_retries=0) as client:
        whole = client.chat.completions.create(model="switchyard", messages=said)
    assert (whole.model_extra or {})["switchyard"]["notices"] == []
    assert streamed(on.http, messages=said)[-1].whole["switchyard"]["outcome"] == "answered"
    for sent in t.weak.history:
        (seen,) = pictures_of(sent)
        assert SECRET not in base64.b64decode(seen)
        assert seen == open_pictures([photo()])[0].base64


def test_an_address_may_stand_by_itself(serve: Serve, table: Make) -> None:
    t = table([GOOD])
    eyes(t.services, "fake:weak")
    answer = asked(serve(t.services).http, TEXT, {"type": "image_url", "image_url": data_url(picture())}).json()["switchyard"]
    assert (answer["notices"], len(pictures_of(t.weak.history[0]))) == ([], 1)


def test_with_no_model_that_sees_the_text_is_answered(serve: Serve, table: Make) -> None:
    answer = asked(serve(table([GOOD]).services).http, TEXT, image(data_url(picture()))).json()["switchyard"]
    assert (answer["outcome"], answer["notices"]) == ("answered", [{"kind": "image", "text": NO_EYES}])


def test_a_picture_alone(serve: Serve, table: Make) -> None:
    t = table(["Green tea leaves steeping in a pot.", GOOD])
    eyes(t.services, "fake:weak")
    http = serve(t.services).http
    body = asked(http, image(data_url(picture())), metadata={"thread_id": "mine"}).json()
    assert (body["switchyard"]["expert"], len(body["switchyard"]["models"])) == ("tea", 2)
    assert body["usage"]["total_tokens"] == sum(m["input_tokens"] + m["output_tokens"] for m in body["switchyard"]["models"])
    (turn,) = http.get("/v1/threads/mine").json()["turns"]
    assert turn["question"] == "[picture: Green tea leaves steeping in a pot.]"


def test_pictures_of_earlier_messages_are_marks(serve: Serve, table: Make) -> None:
    t = table(BLACK)
    before = [{"role": "user", "content": [TEXT, image(data_url(picture()))]}, {"role": "assistant", "content": GOOD}]
    assert asked(serve(t.services).http, {"type": "text", "text": "And black tea?"}, before=before).status_code == 200
    assert t.weak.history[-1][1].content == f"{QUESTION}\n\n[picture]"


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([TEXT, image("https://example.org/a.png")], "picture 1: expected the picture itself, a file or a data: URL; got an address."),
        ([TEXT, image("file:///etc/passwd")], "picture 1: expected the picture itself"),
        ([TEXT, image(data_url(b"<svg/>", "image/svg+xml"))], "picture 1: expected a PNG, JPEG, GIF or WebP picture;"),
        ([TEXT, image(data_url(picture())), image(data_url(picture()[:60]))], "picture 2: this picture is damaged or breaks off."),
        ([TEXT, *[image(data_url(picture()))] * 5], "Expected at most 4 pictures with a question; got 5."),
        ([TEXT, {"type": "image_url"}], "picture 1: expected the picture itself"),
        ([TEXT, {"type": "image_url", "image_url": {}}], "picture 1: expected the picture itself"),
        ([{"type": "text", "text": " "}], "Expected a question; got an empty one"),
    ],
)
def test_what_is_no_picture_is_refused_before_a_stream_begins(serve: Serve, table: Make, parts: list[dict[str, Any]], says: str) -> None:
    t = table([])
    eyes(t.services, "fake:weak")
    response = asked(serve(t.services).http, *parts, stream=True)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")
    assert says in response.json()["error"]["message"]


def test_ten_megabytes_of_pictures_fit_into_a_request(serve: Serve, table: Make) -> None:
    http = serve(table([GOOD]).services).http
    large = [image(data_url(picture() + bytes(5_200_000))) for _ in range(3)]
    assert asked(http, TEXT, *large[:2]).status_code == 200
    refused = asked(http, TEXT, *large).json()["error"]["message"]
    assert refused == "Expected a request of at most 16,777,216 bytes."


def test_nothing_of_a_picture_is_logged(serve: Serve, table: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    t = table([GOOD])
    eyes(t.services, "fake:weak")
    url = data_url(photo(), "image/jpeg")
    assert asked(serve(t.services).http, TEXT, image(url)).status_code == 200
    (seen,) = pictures_of(t.weak.history[0])
    assert not any(url[30:90] in line or seen[:60] in line for line in caplog.text.splitlines())
