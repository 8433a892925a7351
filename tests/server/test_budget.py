"""What a key may spend: as much by many turns at once as by one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.errors import ModelUnavailableError
from llms.fake import ScriptedModel
from server.access import Caller
from server.budget import Account
from store import keys
from tests.graph.conftest import GOOD, QUESTION, Table
from tests.postgres import BOTH
from tests.server.conftest import Running, chat, streamed

Serve = Callable[..., Running]
Make = Callable[..., Table]


@pytest.fixture
def priced(table: Make) -> Callable[..., Table]:
    """`priced(prices.toml)`: the application with those prices, its inferior model `openai:toll`."""

    def make(prices: str, replies: int = 3) -> Table:
        weak = ScriptedModel(replies=[GOOD] * replies)
        made = table([], models={"openai:toll": weak}, inferior="openai:toll")
        made.services.settings.home.mkdir(parents=True, exist_ok=True)
        (made.services.settings.home / "prices.toml").write_text(prices)
        return made

    return make


@BOTH
def test_a_spent_budget_ends_the_asking(serve: Serve, priced: Callable[..., Table]) -> None:
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


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_turns_at_once_spend_no_more_than_one_after_the_other(serve: Serve, priced: Callable[..., Table], stream: bool) -> None:
    made = priced('["openai:toll"]\ninput = 0\noutput = 1000000\n', replies=12)
    on = serve(made.services)
    key = on.key("ann", budget_usd=20.0)
    body = {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda _: on.asking(key).post("/v1/chat/completions", json=body), range(12)))
    answered = [r for r in said if r.status_code == 200 and '"outcome"' in r.text]
    (stored,) = keys.listed(on.services.engine)
    assert stored.spent_usd == 8.0 * len(answered)
    assert 1 <= len(answered) <= 3  # the third begins with 4 of 20 dollars left
    refused = [r for r in said if r not in answered]
    assert all('"budget_held"' in r.text or '"insufficient_quota"' in r.text for r in refused)
    assert {r.headers["retry-after"] for r in refused if r.status_code == 429 and "budget_held" in r.text} <= {"2"}
    while chat(on.asking(key), QUESTION).status_code == 200:
        pass
    assert keys.listed(on.services.engine)[0].spent_usd == 24.0
    assert keys.left(on.services.engine, stored) == -4.0


@BOTH
def test_a_turn_that_its_client_leaves_costs_what_it_held(serve: Serve, priced: Callable[..., Table]) -> None:
    made = priced('["openai:toll"]\ninput = 0.5\noutput = 1\n')
    on = serve(made.services)
    began, go = threading.Event(), threading.Event()
    made.services.model("openai:toll").replies[:] = [[GOOD]]
    reply = type(made.services.model("openai:toll"))._reply

    def slow(self: Any, messages: Any) -> Any:
        began.set()
        go.wait(120)
        return reply(self, messages)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(made.services.model("openai:toll")), "_reply", slow)
        client = on.asking(on.key("ann", budget_usd=10.0))
        body = {"model": "switchyard", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=body):
            assert began.wait(60)
            (stored,) = keys.listed(on.services.engine)
            assert keys.left(on.services.engine, stored) == pytest.approx(10 - 0.005)  # 8,000 tokens read and 1,000 written
        until = time.monotonic() + 60
        while not keys.listed(on.services.engine)[0].spent_usd and time.monotonic() < until:
            time.sleep(0.02)
        go.set()
    assert keys.listed(on.services.engine)[0].spent_usd == pytest.approx(0.005)
    assert keys.left(on.services.engine, stored) == pytest.approx(10 - 0.005)


def test_a_turn_that_fails_costs_nothing(serve: Serve, priced: Callable[..., Table]) -> None:
    made = priced('["openai:toll"]\ninput = 0\noutput = 1000000\n')
    made.services._load = lambda *_: ScriptedModel(replies=[ModelUnavailableError("Down.")] * 9)
    on = serve(made.services)
    client = on.asking(on.key("ann", budget_usd=10.0))
    assert chat(client, QUESTION).status_code == 502
    (stored,) = keys.listed(on.services.engine)
    assert (stored.spent_usd, keys.left(on.services.engine, stored)) == (0.0, 10.0)


def test_a_budget_without_a_price_lets_nothing_through(serve: Serve, priced: Callable[..., Table]) -> None:
    on = serve(priced("").services)
    refused = chat(on.asking(on.key("ann", budget_usd=10.0)), QUESTION)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "unknown_price")
    assert "the price of openai:toll is unknown" in refused.json()["error"]["message"]
    assert chat(on.asking(on.key("bob")), QUESTION).json()["switchyard"]["cost_usd"] is None


@pytest.mark.parametrize(("cost", "charged"), [(None, 0.005), (0.25, 0.25), (0.0, 0.0)])
def test_a_turn_of_unknown_cost_costs_what_it_held(priced: Callable[..., Table], cost: float | None, charged: float) -> None:
    services = priced('["openai:toll"]\ninput = 0.5\noutput = 1\n').services
    key, _ = keys.create(services.engine, "ann", budget_usd=10.0)
    with Account(services, Caller(key)) as account:
        account.pay(cost)
    (stored,) = keys.listed(services.engine)
    assert stored.spent_usd == pytest.approx(charged)
    assert keys.left(services.engine, stored) == pytest.approx(10 - charged)
