"""The line of a turn: what it says, what it never says, and that nobody can forge one."""

import json
import logging

import pytest

from core.errors import IndexFault, UnknownNameError
from graph.api import events, resumed
from graph.state import Context
from graph.tracing.turnlog import LOGGER, Json, Text, logfmt
from tests.graph.conftest import BAD, GOOD, QUESTION


@pytest.fixture
def lines(caplog, monkeypatch):
    """The fields of each line so far."""
    # A process that writes its log itself, as one that has served does, hands nothing on.
    monkeypatch.setattr(logging.getLogger("switchyard"), "propagate", True)
    caplog.set_level(logging.INFO, LOGGER.name)
    return lambda: [record.turn for record in caplog.records if record.name == LOGGER.name]


def test_a_line_says_how_a_turn_went_and_where_its_time_did(table, lines):
    answer = table([BAD, BAD], [GOOD]).ask(thread="t1", owner="ann", key_id="0badcafe")
    [line] = lines()
    assert line["parts_ms"].keys() == {"prepare", "route", "tea.retrieve", "tea", "decide", "superior.retrieve", "superior", "respond"}
    assert 0 < sum(line["parts_ms"][name] for name in ("prepare", "route", "tea", "decide", "superior", "respond")) <= line["latency_ms"]
    assert {name: value for name, value in line.items() if not name.endswith("_ms")} == {
        "thread_id": "t1",
        "key_id": "0badcafe",
        "run_id": answer.run_id,
        "expert": "tea",
        "outcome": "escalated",
        "confidence": answer.confidence,
        "models": ["fake:weak", "fake:weak", "fake:strong"],
        "input_tokens": sum(use.input_tokens for use in answer.models),
        "output_tokens": sum(use.output_tokens for use in answer.models),
        "cost_usd": 0.0,
    }


def test_a_search_that_fails_has_its_time_too(table, lines, monkeypatch):
    def broken(services, name, *_):
        raise IndexFault("corrupt")

    monkeypatch.setattr("graph.nodes.expert.search", broken)
    with pytest.raises(IndexFault):
        table([GOOD]).ask()
    [line] = lines()
    assert (line["outcome"], line["error"]) == ("failed", "IndexFault")
    assert line["parts_ms"].keys() == {"prepare", "route", "tea.retrieve", "tea"}


def test_no_line_holds_a_text(table, lines, caplog):
    table([GOOD]).ask()
    assert len(lines()) == 1
    assert "steep" not in caplog.text.lower()


def test_a_turn_without_an_answer_has_a_line_too(table, lines):
    asked = table([["Green ", "tea"]], live=True)
    with pytest.raises(UnknownNameError):
        asked.ask(expert="nobody")
    turn = events(QUESTION, Context(), None, asked.services)
    next(turn)
    turn.close()
    failed, left = lines()
    assert (failed["outcome"], failed["error"]) == ("failed", "UnknownNameError")
    assert left["outcome"] == "left"


def test_a_turn_that_waits_for_its_user_is_not_taken_for_the_one_before(table, lines):
    asked = table([GOOD, GOOD])
    asked.ask(thread="t1")
    [*_, offered] = asked.events(thread="t1", review=True)
    assert offered["type"] == "review"
    [*_, answer] = resumed("accept", Context(review=True), "t1", asked.services)
    first, waiting, last = lines()
    assert (waiting["outcome"], waiting["thread_id"], "run_id" in waiting) == ("interrupted", "t1", False)
    assert (last["outcome"], last["run_id"]) == ("answered", answer["data"]["run_id"])
    assert first["run_id"] != last["run_id"]


def test_nobody_listens_by_default(table, caplog):
    services = table([GOOD]).services
    assert services.watchers == []


NASTY = {
    "thread_id": 'a\nb "c"\u2028\x1b[2Jd=e',
    "expert": ["tea", "bees"],
    "cost_usd": None,
    "models": [],
    "parts_ms": {"tea.answer": 1.5},
}


def test_text_is_one_line_of_pairs_whatever_a_value_holds():
    assert logfmt(NASTY) == 'thread_id="a\\nb \\"c\\"\\u2028\\u001b[2Jd=e" expert=tea,bees parts_ms.tea.answer=1.5'
    said = {"msg": "turn %s", "args": (logfmt(NASTY),), "levelname": "INFO", "created": 1.5, "msecs": 500.0, "turn": NASTY}
    record = logging.makeLogRecord(said)
    assert Text().format(record) == f"1970-01-01T00:00:01.500Z info turn {logfmt(NASTY)}"


def test_json_is_one_line_that_reads_back():
    record = logging.makeLogRecord({"msg": "turn", "levelname": "INFO", "created": 1.5, "msecs": 500.0, "turn": NASTY})
    line = Json().format(record)
    assert line.isascii() and "\n" not in line
    assert json.loads(line) == {"time": "1970-01-01T00:00:01.500Z", "level": "info", "event": "turn", **NASTY}


def test_other_messages_stay_on_their_line():
    record = logging.makeLogRecord({"msg": "not\nready\x1b[31m", "levelname": "ERROR", "created": 0.0, "msecs": 0.0})
    assert Text().format(record) == "1970-01-01T00:00:00.000Z error not\\nready\\u001b[31m"
    assert json.loads(Json().format(record))["message"] == "not\nready\x1b[31m"
