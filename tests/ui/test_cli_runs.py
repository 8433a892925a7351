"""The command `runs`."""

from __future__ import annotations

import json
import time

import pytest

from store.engine import engine
from store.feedback import Feedback, save
from store.runs import find_run, record
from tests.postgres import BOTH

QUESTION = "How long does green tea steep?"
DAY_S = 86_400.0


@pytest.fixture
def asked(switchyard):
    """The answer object of a question that was just asked in the thread `kitchen`."""
    return json.loads(switchyard("ask", QUESTION, "--thread", "kitchen", "--json").out)


@pytest.fixture
def put(tiny_settings, monkeypatch):
    """`put("id", days_ago=7, expert=...)` stores a run."""

    def record_one(run, question="Why?", days_ago=0.0, owner=None, **said):
        database = engine(tiny_settings.database)
        answer = {"run_id": run, "thread_id": f"t-{run}", "expert": "tea", "outcome": "answered", "confidence": 0.75, "answer": "So."}
        at = time.time() - days_ago * DAY_S
        with monkeypatch.context() as patch:
            patch.setattr("store.runs.time.time", lambda: at)
            record(database, question, answer | {"cost_usd": 0.0012, "latency_ms": 1_500.0} | said, {}, owner)

    return record_one


def rows(said):
    return [line.split() for line in said.out.splitlines()[1:]]


def test_no_runs_are_no_error(switchyard):
    empty = switchyard("runs", "list")
    assert (empty.status, empty.out) == (0, "")
    assert "Every question that is asked makes one" in empty.err
    assert json.loads(switchyard("runs", "list", "--json").out) == []
    assert "No runs yet" in switchyard("runs", "drift").err


def test_list_is_newest_first_and_shows_no_control_characters(switchyard, put):
    put("aaaaaaaa1", "old\x1b[31m\nquestion [bold]", 400.0, expert=["tea", "bees"], cost_usd=None)
    put("bbbbbbbb2", expert=None, outcome="declined", confidence=0.0)
    said = switchyard("runs", "list")
    assert [row[0] for row in rows(said)] == ["bbbbbbbb", "aaaaaaaa"]
    assert rows(said)[0][-6:] == ["-", "declined", "-", "$0.0012", "1.5", "s"]
    assert rows(said)[1][2:] == ["old[31m", "question", "[bold]", "tea+bees", "answered", "0.75", "?", "1.5", "s"]
    assert "\x1b" not in said.out


def test_list_in_a_narrow_terminal_keeps_to_it(switchyard, put, monkeypatch):
    put("aaaaaaaa1", "a question of very many words " * 20, expert="an_expert_with_a_long_name")
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, switchyard("runs", "list").out.splitlines())) <= 80


@BOTH
def test_list_is_filtered(switchyard, put, tiny_settings, monkeypatch):
    if tiny_settings.database_url:
        monkeypatch.setenv("DATABASE_URL", tiny_settings.database)
    put("a1", days_ago=30.0)
    put("a2", days_ago=2.0, expert="bees", outcome="escalated")
    put("a3", expert=["tea", "bees"], outcome="unknown")

    def listed(*arguments):
        engine(tiny_settings.database).dispose()  # the next command makes its own
        return [run["run_id"] for run in json.loads(switchyard("runs", "list", "--json", *arguments).out)]

    assert listed() == ["a3", "a2", "a1"]
    assert listed("--since", "7d") == ["a3", "a2"]
    assert listed("--since", "24h") == ["a3"]
    assert listed("--since", "2020-01-01") == ["a3", "a2", "a1"]
    assert listed("--expert", "bees") == ["a3", "a2"]
    assert listed("--outcome", "escalated") == ["a2"]
    assert listed("--thread", "t-a1") == ["a1"]
    assert listed("--limit", "1") == ["a3"]
    engine(tiny_settings.database).dispose()


def test_list_says_that_there_are_more(switchyard, put):
    put("a1")
    put("a2")
    assert switchyard("runs", "list", "--limit", "1").err == "The newest 1; more with --limit. Open one: switchyard runs show RUN\n"
    assert switchyard("runs", "list", "--limit", "2").err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--since", "yesterday"], "--since: expected a day such as 2026-11-01, or a span such as 12h, 7d or 4w; got 'yesterday'."),
        (["list", "--outcome", "good"], "--outcome: expected one of answered, escalated, declined, unknown, clarify; got 'good'."),
        (["show", "nothing"], "Expected the id of one run; none begins with 'nothing'. See: switchyard runs list"),
        (["show", ""], "Expected the id of one run; none begins with ''. See: switchyard runs list"),
    ],
)
def test_bad_usage_is_one_line(switchyard, arguments, said):
    refused = switchyard("runs", *arguments)
    assert (refused.status, refused.out, refused.err) == (2, "", f"Error: {said}\n")


def test_an_id_may_be_short_but_not_of_several(switchyard, put, asked):
    put("abc1")
    put("abc2")
    put("abc")
    several = switchyard("runs", "show", "ab")
    assert (several.status, "several begin with 'ab', such as abc" in several.err) == (2, True)
    assert asked["run_id"] in switchyard("runs", "show", asked["run_id"][:10]).out
    assert "Expected" not in switchyard("runs", "show", "abc", "--json").err


def test_show_marks_the_passage_that_a_citation_quotes_whatever_the_ids(switchyard, put, asked):
    passages = [{"id": "1", "title": f"Title {n}", "text": text, "score": 1.0} for n, text in enumerate(("Steep it.", "Bees dance."))]
    put("abc", **asked | {"run_id": "abc", "passages": passages, "citations": [{"n": 1, "passage_id": "1", "quote": "Bees dance."}]})
    first, second = [line for line in switchyard("runs", "show", "abc").out.splitlines() if "Title" in line]
    assert ("[1]" in first, "[1]" in second, "Title 1" in second) == (False, True, True)


def test_show_holds_the_whole_decision(switchyard, asked, tiny_settings):
    save(engine(tiny_settings.database), Feedback(asked["run_id"], "ann", 1.0, QUESTION, -1, "bees", [1], "Three\x1b[31m minutes."))
    shown = switchyard("runs", "show", asked["run_id"][:8])
    assert shown.status == 0, shown.err
    for part in ("Question", "Answer", "Outcome", "Route", "Passages", "Draft 1", "Verdicts", "Models", "Feedback"):
        assert f"\n{part}\n" in shown.out
    assert f"answered, confidence {asked['confidence']:.4f}, grounded" in shown.out
    assert f"tea, attempt 1, local:reader (inferior), confidence {asked['confidence']:.4f}" in shown.out
    assert f"{asked['route']['scores']['tea']:.4f}" in shown.out
    assert all(passage["id"] in shown.out for passage in asked["passages"])
    assert "ann, not acceptable, belongs to bees, wrong sources 1, better: Three[31m minutes." in shown.out
    assert "\x1b" not in shown.out


def test_show_says_how_a_follow_up_was_read(switchyard, asked):
    switchyard("ask", "and black tea?", "--thread", "kitchen")
    newest = json.loads(switchyard("runs", "list", "--limit", "1", "--json").out)[0]
    found = json.loads(switchyard("runs", "show", newest["run_id"], "--json").out)
    assert found["question"] == "and black tea?"
    assert found["decision"]["question"] != "and black tea?"
    assert f"\nAnswered as\n  {found['decision']['question'][:20]}" in switchyard("runs", "show", newest["run_id"]).out


def test_show_as_json_is_all_there_is(switchyard, asked, tiny_settings):
    found = json.loads(switchyard("runs", "show", asked["run_id"], "--json").out)
    stored = find_run(engine(tiny_settings.database), asked["run_id"])
    assert stored is not None
    assert (found["answer"], found["feedback"], found["thread_id"]) == (asked, [], "kitchen")
    [draft] = found["decision"]["drafts"]
    assert (draft["model"], draft["confidence"], draft["answers"]) == ("local:reader", asked["confidence"], True)
    assert draft["parts"].keys() == asked["confidence_parts"].keys()


def test_a_run_of_an_older_version_has_no_decision_and_is_shown(switchyard, asked, tiny_settings):
    from sqlalchemy import delete

    from store.engine import decisions, transaction

    with transaction(engine(tiny_settings.database)) as connection:
        connection.execute(delete(decisions))
    shown = switchyard("runs", "show", asked["run_id"])
    assert (shown.status, "\nAnswer\n" in shown.out, "Draft" in shown.out) == (0, True, False)


def test_drift_marks_what_changed_and_writes_it(switchyard, put, tmp_path):
    for n in range(40):
        put(f"a{n}", days_ago=14.0)
        put(f"b{n}", days_ago=7.0, outcome="escalated", expert="bees")
    found = json.loads(switchyard("runs", "drift", "--json").out)
    assert [(week["turns"], week["outcomes"]["escalated"]) for week in found["weeks"]] == [(40, 0.0), (40, 1.0)]
    assert {change["measure"] for change in found["weeks"][1]["changes"]} == {"escalated", "route: bees", "route: tea"}
    assert "Fisher" in found["tests"]
    report = tmp_path / "reports" / "drift"
    said = switchyard("runs", "drift", "--report", str(report))
    assert said.status == 0, said.err
    assert "▲100%" in said.out and "▼0%" in said.out
    assert "escalated 0% to 100%, p " in said.out
    assert json.loads((report / "drift.json").read_text()) == found
    assert (report / "drift.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert sorted(path.name for path in report.iterdir()) == ["drift.json", "drift.png"]


def test_drift_in_a_narrow_terminal_keeps_to_it(switchyard, put, monkeypatch):
    for n in range(30):
        put(f"a{n}", days_ago=7.0, expert=f"expert_{n % 9}")
        put(f"b{n}", outcome="escalated", cost_usd=0.000123, latency_ms=123_456.0)
    monkeypatch.setenv("COLUMNS", "80")
    said = switchyard("runs", "drift")
    assert max(map(len, said.out.splitlines())) <= 80
    assert "others" in said.out


def test_a_report_that_cannot_be_written_is_one_line(switchyard, put, tmp_path):
    put("a1")
    (tmp_path / "file").write_text("")
    refused = switchyard("runs", "drift", "--report", str(tmp_path / "file" / "below"))
    assert (refused.status, refused.err.startswith("Error: Cannot write ")) == (2, True)
