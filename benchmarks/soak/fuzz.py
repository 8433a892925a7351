"""Whatever is sent: no 5xx, no hang, and nothing of another owner's."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from server.schema import ChatRequest

QUESTION = "How long does green tea steep in Zanzibar-7741?"
SECRET = "Zanzibar-7741"  # noqa: S105 - a word of ann's question, which bob must never see
THREAD = "hers"
CHAT = "/v1/chat/completions"
HANGS_S = 60.0
"""A reply that takes longer does not come."""
TEXT = st.text(max_size=30) | st.sampled_from(["\x00", "\ud800", "../../etc", "x" * 9000, "' OR 1=1 --", "{{7*7}}", "\u202e"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8)
ROLES = st.sampled_from(["user", "assistant", "system", "tool", "king"])
KINDS = st.sampled_from(["text", "image_url", "x"])
PARTS = st.lists(
    st.fixed_dictionaries(
        {"type": KINDS}, optional={"text": TEXT | st.none(), "image_url": VALUES | st.just({"url": "data:image/png;base64,x"})}
    ),
    max_size=3,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": TEXT | PARTS | VALUES}), max_size=4)
QUESTIONS = st.sampled_from(["How long does black tea steep?", "What is honey made of?", "and in winter?", "Who won the cup?"])
ASKED = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": QUESTIONS | TEXT}), min_size=1, max_size=2)
RAW = st.sampled_from([b"", b"[", b"\xff\xfe", b"[" * 100_000, b'{"model": NaN}', b'"\\ud800"', b"1e999", b"null"]) | st.binary(max_size=40)
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


class Request(NamedTuple):
    """What is sent. keyed: with bob's key, or whatever else the headers say."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]
    keyed: bool = True


@dataclass
class Found:
    """What came back. chats: requests to the chat endpoint; broken: what must not have been, in words; empty where all is well."""

    statuses: Counter[int] = field(default_factory=Counter)
    chats: int = 0
    slowest_s: float = 0.0
    broken: list[str] = field(default_factory=list)

    def look(self, request: Request, response: httpx.Response, took_s: float) -> None:
        """Judge one reply."""
        self.statuses[response.status_code] += 1
        self.chats += request.path == CHAT
        self.slowest_s = max(self.slowest_s, took_s)
        if response.status_code >= 500 or '"code": "internal_error"' in response.text:
            self.broken.append(f"{response.status_code} for {request}: {response.text[:300]}")
        elif SECRET in response.text:
            self.broken.append(f"ann's words for {request}")
        elif response.status_code >= 400 and not _error(response):
            self.broken.append(f"an error of another form for {request}: {response.text[:300]}")


def _error(response: httpx.Response) -> bool:
    error = response.json().get("error", {}) if response.headers.get("content-type", "").startswith("application/json") else {}
    return set(error) == {"message", "type", "param", "code"} and bool(error["message"])


def requests(probes: Sequence[str]) -> st.SearchStrategy[Request]:
    """Bodies, paths and headers of all kinds; probes: names of what is another's, tried wherever a name may stand."""
    names = st.sampled_from([*probes, THREAD]) | TEXT
    fields: dict[str, Any] = dict.fromkeys(ChatRequest.model_fields, VALUES) | {
        "model": st.sampled_from(["switchyard", "switchyard/tea", "switchyard/superior", "gpt"]) | TEXT,
        "messages": MESSAGES,
        "stream": st.booleans(),
        "metadata": st.dictionaries(st.sampled_from(["thread_id", "x"]), names, max_size=2) | VALUES,
    }
    optional = {name: value for name, value in fields.items() if name not in ("model", "messages")}
    chat = st.fixed_dictionaries({"model": fields["model"], "messages": fields["messages"]}, optional=optional)
    sound = st.fixed_dictionaries(
        {"model": st.sampled_from(["switchyard", "switchyard/tea"]), "messages": ASKED},
        optional={"stream": st.booleans(), "metadata": st.fixed_dictionaries({"thread_id": names})},
    )
    feedback = st.fixed_dictionaries({"run_id": names}, optional={"rating": st.integers(-2, 2), "text": TEXT})

    def posted(path: str, body: st.SearchStrategy[Any]) -> st.SearchStrategy[Request]:
        return st.builds(lambda sent, name: Request("POST", path, sent, _named(name)), body, names | st.none())

    asked = _weighted([sound.map(_json)] * 5 + [chat.map(_json)] * 4 + [VALUES.map(_json), RAW])
    walked = st.builds(
        lambda method, start, rest, header, keyed: Request(method, start + _quoted(rest), None, {"X-Thread-Id": header}, keyed),
        st.sampled_from(["GET", "DELETE", "POST", "PUT"]),
        st.sampled_from(["/v1/threads/", "/v1/models/", "/"]),
        names,
        PRINTABLE,
        st.booleans(),
    )
    route = posted("/v1/route", st.fixed_dictionaries({"text": TEXT}).map(_json) | RAW)
    return _weighted([posted(CHAT, asked)] * 8 + [route, posted("/feedback", feedback.map(_json) | RAW), walked, walked])


def _weighted(parts: Sequence[st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of these, as often as it is named: hypothesis' own `one_of` takes what is named twice for one."""
    return st.integers(0, len(parts) - 1).flatmap(lambda n: parts[n])


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _named(name: str | None) -> dict[str, str]:
    named = (name or "").encode("ascii", "ignore").decode().strip()
    return {"Content-Type": "application/json"} | ({"X-Thread-Id": named} if named.isprintable() and name is not None else {})


def _quoted(rest: str) -> str:
    return str(httpx.QueryParams({"x": rest.encode("utf-8", "replace").decode()[:200]}))[2:]


def fuzz(url: str, ann: str, bob: str, count: int, advance: Callable[[int], None] = lambda _: None, *, seeded: bool = False) -> Found:
    """Send `count` requests as bob, who holds that key, to a server where ann, who holds the other, has a conversation.

    seeded: the same requests every time. Stops at the first that breaks something.
    """
    found = Found()
    with _client(url, ann) as hers, _client(url, bob) as his, _client(url, None) as nobodys:
        said = {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}], "metadata": {"thread_id": THREAD}}
        run_id = hers.post(CHAT, json=said).raise_for_status().json()["switchyard"]["run_id"]
        before = hers.get(f"/v1/threads/{THREAD}").raise_for_status().json()

        @settings(
            max_examples=count,
            derandomize=seeded,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )
        @given(requests([f"ann:{THREAD}", run_id]))
        def send(request: Request) -> None:
            start = time.monotonic()
            client = his if request.keyed else nobodys
            response = client.request(request.method, request.path, content=request.body, headers=request.headers)
            found.look(request, response, time.monotonic() - start)
            advance(1)
            assert not found.broken, found.broken[0]

        send()
        if hers.get(f"/v1/threads/{THREAD}").json() != before:
            found.broken.append("ann's conversation has changed")
    return found


def _client(url: str, key: str | None) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=HANGS_S)
