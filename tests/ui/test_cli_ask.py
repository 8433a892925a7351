import fcntl
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from core.settings import ROOT
from graph.pictures import NO_EYES
from store.engine import engine
from store.runs import thread_runs, threads
from tests.pictures import picture

STEEP = "How long does green tea steep?"
KEYS = [
    "answer",
    "expert",
    "route",
    "citations",
    "passages",
    "confidence",
    "confidence_parts",
    "outcome",
    "grounded",
    "cached",
    "escalation",
]
KEYS += ["notices", "models", "cost_usd", "cost_always_superior_usd", "latency_ms", "thread_id", "run_id"]
UNNEEDED = ["torch", "transformers", "sklearn", "scipy", "bm25s", "pandas", "onnx", "psycopg", "openai", "rich.markdown"]
MODULES = 1600
ROUTE_KEYS = ["expert", "scores", "confidence", "out_of_scope", "router", "nearest", "thresholds", "superior_probability"]


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def written(path, *lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_an_answer_for_people(switchyard):
    result = switchyard("ask", STEEP)
    assert (result.status, result.err) == (0, "")
    lines = [line.strip() for line in result.out.splitlines()]
    assert "Green tea steeps for two minutes. [1]" in lines[0]
    assert "[1] Brewing a Cup: Time" in lines
    assert "Written for the tests" in lines
    assert "“Green tea steeps for two minutes.”" in lines
    assert re.match(r"tea · answered · confidence [01]\.\d\d · ", lines[-1])
    assert " · local:reader · $0 · " in lines[-1]


def test_json_is_one_document_with_the_keys_of_the_answer_object(switchyard):
    result = switchyard("ask", STEEP, "--json")
    answer = json.loads(result.out)
    assert (result.status, result.err) == (0, "")
    assert list(answer) == KEYS
    assert sorted(answer["route"]) == sorted(ROUTE_KEYS)
    assert (answer["expert"], answer["outcome"], answer["grounded"]) == ("tea", "answered", True)
    assert sum(answer["route"]["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["citations"][0]["quote"] == "Green tea steeps for two minutes."


def test_a_declined_question_is_no_error(switchyard):
    result = switchyard("ask", "what is the capital of Norway")
    assert result.status == 0
    assert "outside what my experts cover" in result.out
    assert result.out.splitlines()[-1].startswith("declined · $0 · ")


def test_an_expert_named_is_asked_whatever_the_router_says(switchyard):
    answer = json.loads(switchyard("ask", STEEP, "--expert", "bees", "--no-escalate", "--json").out)
    assert (answer["expert"], answer["escalation"]) == ("bees", None)
    assert {p["id"].partition("#")[0] for p in answer["passages"]} <= {"castes", "dance", "honey", "keeping"}
    assert max(answer["route"]["scores"], key=answer["route"]["scores"].get) == "tea"


def test_a_thread_goes_on(switchyard, tiny_settings):
    switchyard("ask", STEEP, "--thread", "mine")
    second = json.loads(switchyard("ask", "and black tea?", "--thread", "mine", "--json").out)
    assert second["thread_id"] == "mine"
    turns = thread_runs(engine(tiny_settings.database), "mine")
    assert [t.question for t in turns] == [STEEP, "and black tea?"]


def test_a_picture_that_no_model_sees_is_said(switchyard, tmp_path):
    (tmp_path / "hive.jpg").write_bytes(picture("PNG"))
    result = switchyard("ask", STEEP, "--image", str(tmp_path / "hive.jpg"))
    assert "two minutes" in result.out
    assert (result.status, result.err) == (0, f"Note: {NO_EYES}\n")


def test_a_model_that_cannot_be_reached_is_replaced_with_a_note(switchyard, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/v1")
        monkeypatch.setenv("SWITCHYARD_MODEL_RETRIES", "0")
        result = switchyard("ask", STEEP, "--model", "openai:any")
    assert result.status == 0
    assert "two minutes" in result.out
    assert result.err.startswith("Note: ")
    assert "Asked local:deep-reader instead." in result.err


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ([""], 2, "Expected a question; got an empty one."),
        (["\x07\u200b "], 2, "Expected a question; got an empty one."),
        (["a" * 100_000], 2, "Expected a question of at most 8,000 characters; got 100,000."),
        ([], 2, "Expected either a question or --input FILE with --output FILE; got neither."),
        (["Hi", "--input", "a.jsonl", "--output", "b.jsonl"], 2, "Expected either a question or --input"),
        (["--input", "a.jsonl"], 2, "--input and --output belong together"),
        (["--input", "a.jsonl", "--output", "b.jsonl", "--json"], 2, "--json prints one document"),
        (["--input", "none.jsonl", "--output", "b.jsonl"], 2, "Cannot read none.jsonl: No such file or directory."),
        (["Hi", "--expert", "cats"], 2, "No expert is called 'cats'. Known: bees, tea."),
        (["Hi", "--model", "nobody:any"], 2, "Model 'nobody:any': expected provider:name"),
        (["Hi", "--model", "openai:gpt-5"], 1, "OPENAI_API_KEY is not set"),
        (["Hi", "--image", "none.png"], 2, "Cannot read the picture none.png: No such file or directory."),
        (["--image", "."], 2, "Cannot read the picture .: Is a directory."),
        (["Hi", "--image", str(ROOT / "pyproject.toml")], 2, "pyproject.toml: expected a PNG, JPEG, GIF or WebP picture;"),
        (["--image", "a.png", "--input", "a.jsonl", "--output", "b.jsonl"], 2, "--image belongs to one question"),
    ],
)
def test_what_cannot_be_asked_is_one_line(switchyard, arguments, status, line):
    result = switchyard("ask", *arguments)
    assert (result.status, result.out) == (status, "")
    assert result.err.startswith(f"Error: {line}")
    assert result.err.count("\n") == 1


def test_rows_are_answered_and_a_second_run_has_nothing_to_do(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP}, "\n", {"id": 7, "text": "who lays the eggs", "expert": "bees"})
    output = tmp_path / "out.jsonl"
    result = switchyard("ask", "--input", source, "--output", str(output))
    assert (result.status, result.out) == (0, "")
    assert [list(row) for row in rows(output)] == [["id", *KEYS]] * 2
    assert [(row["id"], row["expert"]) for row in rows(output)] == [("a", "tea"), (7, "bees")]
    before = output.read_bytes()
    again = switchyard("ask", "--input", source, "--output", str(output))
    assert again.err.startswith(f"2 of 2 rows are in {output} already.")
    assert output.read_bytes() == before


@pytest.mark.parametrize("ending", ['{"id": "b", "answer": "half', '{"id": "b", "answer": "whole"}', '{"i'])
def test_a_last_line_without_its_end_is_repaired(switchyard, tmp_path, ending):
    source = written(tmp_path / "in.jsonl", *({"id": i, "text": STEEP} for i in "abc"))
    output = tmp_path / "out.jsonl"
    written(output, {"id": "a", "answer": "kept"}, ending)
    assert switchyard("ask", "--input", source, "--output", str(output)).status == 0
    found = rows(output)
    assert [row["id"] for row in found] == ["a", "b", "c"]
    assert found[0] == {"id": "a", "answer": "kept"}
    assert "two minutes" in found[2]["answer"]


def test_a_row_that_fails_is_named_and_the_others_are_answered(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": " "}, {"id": "b", "text": STEEP})
    result = switchyard("ask", "--input", source, "--output", str(tmp_path / "out.jsonl"))
    assert result.status == 2
    assert "Row 'a': Expected a question; got an empty one." in result.err
    assert result.err.endswith("Error: Rows without a result: 1 of 2. The same command tries them again.\n")
    assert [row["id"] for row in rows(tmp_path / "out.jsonl")] == ["b"]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ('{"id": "b", \n', "not JSON"),
        ("[" * 100_000 + "\n", "not JSON: nested too deeply"),
        ('["b"]\n', "not an object"),
        ('{"id": "b"}\n', "missing: text"),
        ('{"text": "hi"}\n', "missing: id"),
        ('{"id": [], "text": "hi"}\n', "the id is neither a text nor a whole number"),
        ('{"id": "b", "text": 4}\n', "the text is none"),
        ('{"id": "b", "text": "hi", "expert": 4}\n', "the expert is no name"),
        ('{"id": "b", "text": "\\ud800"}\n', "half a character"),
        ('{"id": "a", "text": "hi"}\n', "the id 'a' stands on an earlier line too"),
    ],
)
def test_a_broken_row_is_named_by_its_line_before_anything_is_asked(switchyard, tmp_path, second, reason):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP}, second)
    result = switchyard("ask", "--input", source, "--output", str(tmp_path / "out.jsonl"))
    assert result.status == 2
    assert result.err.startswith(f"Error: {source}, line 2: ")
    assert reason in result.err
    assert not (tmp_path / "out.jsonl").exists()


def test_rows_of_an_unknown_expert_are_refused(switchyard, tmp_path):
    rows = ({"id": "a", "text": STEEP, "expert": "auto"}, "\n", {"id": "b", "text": STEEP, "expert": "cats"})
    source = written(tmp_path / "in.jsonl", *rows)
    result = switchyard("ask", "--input", source, "--output", str(tmp_path / "out.jsonl"))
    assert (result.status, result.err) == (2, f"Error: {source}, line 3: No expert is called 'cats'. Known: bees, tea.\n")


def test_the_input_is_never_the_output(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP})
    result = switchyard("ask", "--input", source, "--output", source)
    assert result.err == f"Error: --output is the input itself ({source}): name another file.\n"
    assert rows(tmp_path / "in.jsonl") == [{"id": "a", "text": STEEP}]


def test_two_runs_never_write_one_output(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP})
    output = tmp_path / "out.jsonl"
    with output.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = switchyard("ask", "--input", source, "--output", str(output))
    line = f"Error: Another run is writing {output}: wait for it, or name another --output.\n"
    assert (result.status, result.err, output.read_text()) == (2, line, "")
    assert switchyard("ask", "--input", source, "--output", str(output)).status == 0
    assert [row["id"] for row in rows(output)] == ["a"]


def test_a_foreign_line_in_the_output_is_refused(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP})
    output = written(tmp_path / "out.jsonl", "notes of mine\n", {"id": "a"})
    result = switchyard("ask", "--input", source, "--output", output)
    assert result.err.startswith(f"Error: {output}, line 1: expected a result with its id.")
    assert (tmp_path / "out.jsonl").read_text().startswith("notes of mine\n")


@pytest.mark.parametrize("text", ["notes of mine", '{"name": "mine"}', '[{"id": 1}]', '{"name": "mi', '{"id": {"a": 1}}'])
def test_a_file_of_the_users_is_no_line_that_was_cut_off(switchyard, tmp_path, text):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP})
    output = written(tmp_path / "notes.txt", text)
    result = switchyard("ask", "--input", source, "--output", output)
    line = f"Error: {output}, line 1: expected a result with its id. Mend the line, or name another --output.\n"
    assert (result.status, result.err, (tmp_path / "notes.txt").read_text()) == (2, line, text)


def test_ctrl_c_leaves_whole_lines_and_the_next_run_goes_on(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", *({"id": n, "text": STEEP} for n in range(400)))
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ui.cli", "ask", "--input", source, "--output", str(output)]
    child = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in a shell's background inherits an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while child.poll() is None and not (output.exists() and output.stat().st_size):
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert err.endswith("Interrupted.\n")
    assert "Traceback" not in err
    assert output.read_bytes().endswith(b"\n")
    done = [row["id"] for row in rows(output)]
    assert done == list(range(len(done)))
    assert 0 < len(done) < 400


def test_ctrl_c_while_everything_is_opened_ends_the_command_at_once(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP})
    slow = "import time; from graph.services import Services; Services._open = lambda self: (print('opening', flush=True), time.sleep(600))"
    command = f"{slow}; import sys; from ui.cli import main; sys.exit(main(['ask', '--input', {source!r}, '--output', 'none.jsonl']))"
    child = subprocess.Popen(
        [sys.executable, "-c", command],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert child.stdout.readline() == "opening\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, "", "Interrupted.\n")


DROPPED = """
import signal, sys, weakref
import graph.api
from ui.cli import main

class Thing:
    pass

def asked(*_):
    thing = Thing()
    gone = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    raise AssertionError

graph.api.run_alone = asked
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(["ask", "--input", sys.argv[1], "--output", "none.jsonl"]))
"""
"""Ctrl-C where Python, and so many a library, would drop an exception."""


def test_ctrl_c_ends_a_row_wherever_it_is(switchyard, tmp_path):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP})
    command = [sys.executable, "-c", DROPPED, source]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_an_answer_imports_no_more_than_it_needs_and_leaves_no_log_of_sqlite_behind(switchyard, tiny_settings):
    check = f"print([name for name in {UNNEEDED!r} if name in sys.modules]); print(len(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from ui.cli import main; main(['ask', {STEEP!r}, '--json']); {check}"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    *answer, unneeded, modules = done.stdout.splitlines()
    assert "two minutes" in json.loads("\n".join(answer))["answer"]
    assert unneeded == "[]"
    assert sorted(path.name for path in tiny_settings.home.glob("*.db*")) == ["switchyard.db", "threads.db"]
    assert int(modules) <= MODULES, "a library that an answer does not need costs each of them a millisecond a module"


@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.mkdir(), lambda path: path.symlink_to("/dev/null")])
def test_an_output_that_is_no_regular_file_is_refused(switchyard, tmp_path, make):
    make(tmp_path / "out")
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP})
    result = switchyard("ask", "--input", source, "--output", str(tmp_path / "out"))
    expected = f"Error: --output {tmp_path / 'out'}: expected a file that a later run can go on with; that is none. Name a file.\n"
    assert (result.status, result.out, result.err) == (2, "", expected)


def test_rows_leave_their_runs_behind_and_no_thread(switchyard, tmp_path, tiny_settings):
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": STEEP}, {"id": "b", "text": "and black tea?"})
    assert switchyard("ask", "--input", source, "--output", str(tmp_path / "out.jsonl")).status == 0
    store = engine(tiny_settings.database)
    found = rows(tmp_path / "out.jsonl")
    assert [thread_runs(store, row["thread_id"])[0].run_id for row in found] == [row["run_id"] for row in found]
    assert [row["thread_id"] for row in found] == [row["run_id"] for row in found]
    assert threads(store) == []
    assert not (tiny_settings.home / "threads.db").exists()


@pytest.mark.parametrize(("typed", "expert"), [("\n", "tea"), ("bees\n", "bees"), ("cats\ny\n", "tea"), ("n\n", None)])
def test_a_route_is_reviewed_before_it_runs(switchyard, monkeypatch, typed, expert):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    result = switchyard("ask", STEEP, "--review", "--json")
    assert result.status == 0
    assert json.loads(result.out)["expert"] == expert
    assert "Route: tea (tea " in result.err


def test_a_review_needs_somebody_who_answers(switchyard, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    result = switchyard("ask", STEEP, "--review")
    assert (result.status, result.err.splitlines()[-1][:60]) == (2, "Error: Expected an answer to the route; the input ended. Lea")
    rows_in = written(tmp_path / "in.jsonl", {"id": 1, "text": STEEP})
    result = switchyard("ask", "--input", str(rows_in), "--output", str(tmp_path / "out.jsonl"), "--review")
    assert (result.status, "--review asks somebody about one route" in result.err) == (2, True)
