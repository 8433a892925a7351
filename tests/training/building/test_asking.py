"""Calls against a provider that counts what it charges: none twice, none lost, none above the cap."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from sqlalchemy import event, select

from core.errors import StoreError
from store import ledger
from store.engine import calls as table
from tests.training.building.provider import INPUT_TOKENS, OUTPUT_TOKENS, provide
from training.building import asking
from training.building.asking import NOT_MADE, Interrupted
from training.building.calls import Call

CHEAP, DEAR = "openai:gpt-5-mini", "openai:gpt-5"
HOME = Path("no own prices")
COST = (INPUT_TOKENS * 1.25 + OUTPUT_TOKENS * 10) / 1e6
"""USD of a call of DEAR."""


def call(text, model=CHEAP, **settings):
    return Call(model, (HumanMessage(text),), settings.pop("max_tokens", 50), **settings)


def many(n, model=CHEAP):
    return [call(f"Question {i}", model) for i in range(n)]


def states(services):
    with services.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(table.c.state, table.c.cost_usd).order_by(table.c.id))]


def test_what_was_answered_is_not_asked_again(served, asked):
    with provide() as provider:
        services = served(provider)
        first, asker = asked(services, lambda a: a.ask([*many(3), call("Question 0")]))
        assert [first[c.key].text for c in many(3)] == [f"Echo: Question {n}" for n in range(3)]
        assert asker.sent == 3
        again, asker = asked(services, lambda a: a.ask(many(4)))
        assert asker.sent == 1
        assert {key: again[key] for key in first} == first
        assert provider.charged == {("gpt-5-mini", f"Question {n}"): 1 for n in range(4)}
        assert asker.budget.spent == pytest.approx((INPUT_TOKENS * 0.25 + OUTPUT_TOKENS * 2) / 1e6)
        body = provider.bodies[0]
        assert (body["max_completion_tokens"], body["stream"]) == (50, True)


def test_a_fresh_run_asks_again_and_a_call_that_is_meant_to_be_asked_twice_is(served, asked):
    with provide() as provider:
        services = served(provider)
        asked(services, lambda a: a.ask(many(1)))

        async def twice(asker):
            return await asker.ask(many(1)) | await asker.ask([*many(1), call("Question 0", again=1)])

        _, asker = asked(services, twice, fresh=True)
        assert asker.sent == 2
        assert provider.charged["gpt-5-mini", "Question 0"] == 3
        assert [state for state, _ in states(services)] == ["dropped", "done", "done"]


def test_no_more_calls_at_once_than_allowed_and_no_faster(served, asked):
    with provide(delay_s=0.03) as provider:
        start = time.monotonic()
        asked(served(provider), lambda a: a.ask(many(9)), concurrency=3, rate=1_200)
        assert provider.most_at_once <= 3
        assert time.monotonic() - start >= 8 * 60 / 1_200
        assert sum(provider.charged.values()) == 9


def test_a_provider_that_fails_half_the_calls(served, asked):
    def every_second(model, prompt):
        return "500" if int(prompt.split()[-1]) % 2 else "Yes"

    with provide(every_second) as provider:
        services = served(provider, model_retries=1)
        replies, asker = asked(services, lambda a: a.ask(many(6)))
        assert {c.key for c in many(6)[::2]} == set(replies)
        assert asker.why_not(many(6)[1]).startswith("openai:gpt-5-mini is not available (500): Out of order.")
        assert len(provider.requests) == 3 + 3 * 2
        assert asker.budget.spent == pytest.approx(sum(reply.cost_usd for reply in replies.values()))
        provider.reply = lambda model, prompt: "Yes"
        replies, asker = asked(services, lambda a: a.ask(many(6)))
        assert (len(replies), asker.sent) == (6, 3)
        assert set(provider.charged.values()) == {1}


def test_too_many_requests_make_the_whole_provider_wait(served, asked):
    times = []

    def busy_once(model, prompt):
        times.append(time.monotonic())
        return "429" if len(times) == 1 else "Yes"

    with provide(busy_once) as provider:
        replies, _ = asked(served(provider), lambda a: a.ask(many(2)), concurrency=1)
        assert len(replies) == 2
        assert times[1] - times[0] >= 0.02


def test_a_refused_key_and_a_model_that_only_fails_are_given_up(served, asked, monkeypatch):
    monkeypatch.setattr(asking, "IN_A_ROW", 3)
    with provide(lambda model, _: {"gpt-5": "401", "gpt-4.1": "404"}.get(model, "Yes")) as provider:
        calls = many(9, DEAR) + many(9, "openai:gpt-4.1") + many(2)
        replies, asker = asked(served(provider), lambda a: a.ask(calls), concurrency=1)
        assert set(replies) == {c.key for c in many(2)}
        assert [model for model, _, _ in provider.requests] == ["gpt-5"] + ["gpt-4.1"] * 3 + ["gpt-5-mini"] * 2
        assert "refused the key (401)" in asker.given_up[DEAR]
        assert "refused the request (404)" in asker.why_not(calls[-3])


def test_the_cap_is_never_passed_and_calls_in_flight_count_as_the_most_they_can_cost(served, asked):
    most = call("Question 0", DEAR).most_usd(HOME)
    cap = most + 3 * COST
    with provide(delay_s=0.01) as provider:
        services = served(provider)
        replies, asker = asked(services, lambda a: a.ask(many(9, DEAR)), cap=cap)
        made = len(replies)
        # The last call is only made while the most it can cost still fits.
        assert made == 4
        assert asker.capped == 5
        assert asker.budget.spent == pytest.approx(4 * COST)
        assert asker.budget.spent <= cap
        assert provider.most_at_once <= 2
        assert [asker.why_not(c) for c in many(9, DEAR) if c.key not in replies] == [NOT_MADE] * 5
        again, asker = asked(services, lambda a: a.ask(many(9, DEAR)), cap=cap, spent=ledger.spent(services.engine, "job"))
        assert (len(again), asker.sent) == (4, 0)


def test_a_reply_that_broke_off_may_have_been_paid_and_counts_so(served, asked):
    with provide(delay_s=3) as provider:
        services = served(provider, model_deadline_s=1, model_retries=0)
        replies, asker = asked(services, lambda a: a.ask(many(1, DEAR)))
        assert replies == {}
        most = call("Question 0", DEAR).most_usd(HOME)
        assert states(services) == [("unknown", pytest.approx(most))]
        assert asker.budget.spent == ledger.spent(services.engine, "job") == pytest.approx(most)
        while provider.at_once:
            time.sleep(0.05)
        replies, _ = asked(served(provider), lambda a: a.ask(many(1, DEAR)))
        assert len(replies) == 1
        first, second = provider.requests
        assert first == second  # the idempotency key, too
        assert provider.charged["gpt-5", "Question 0"] == 1


def test_ctrl_c_waits_for_what_is_on_its_way_and_starts_nothing_more(served, asked):
    with provide(delay_s=0.1) as provider:
        services = served(provider)

        async def stopped(asker):
            asker.advance = lambda: signal.raise_signal(signal.SIGINT)  # as the first reply arrives
            return await asker.ask(many(9))

        with pytest.raises(Interrupted):
            asked(services, stopped, concurrency=1)
        # The signal is heard between two calls or while the second is on its way.
        assert 1 <= len(provider.requests) <= 2
        assert [state for state, _ in states(services)] == ["done"] * len(provider.requests)


def test_a_full_disk_stops_before_more_is_paid_and_keeps_what_was_answered(served, asked):
    with provide() as provider:
        services = served(provider)
        asked(services, lambda a: a.ask(many(2)))
        pages = []

        @event.listens_for(services.engine, "begin")
        def full(connection):
            limit = connection.exec_driver_sql("PRAGMA page_count").scalar()
            pages.append(connection.exec_driver_sql(f"PRAGMA max_page_count={limit}").scalar())

        with pytest.raises(StoreError, match=r"^The database failed: database or disk is full\. Free some disk"):
            asked(services, lambda a: a.ask([call("long " * 2000 + str(n)) for n in range(60)]), concurrency=2)
        sent = len(provider.requests)
        assert sent < 60
        event.remove(services.engine, "begin", full)
        with services.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        replies, asker = asked(services, lambda a: a.ask(many(2)))
        assert (len(replies), asker.sent) == (2, 0)
        assert pages


def test_a_nearly_full_disk_sends_nothing(served, asked, monkeypatch):
    monkeypatch.setattr(asking, "LEAST_FREE", 2**60)
    with provide() as provider:
        with pytest.raises(StoreError, match=r"expected \d+ MiB of free disk for the replies, there are \d+\. Free some\.$"):
            asked(served(provider), lambda a: a.ask(many(1)))
        assert provider.requests == []
