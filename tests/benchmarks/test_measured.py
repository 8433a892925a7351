import argparse
import json

import pytest

from benchmarks import tables
from benchmarks.measured import SKIPPED, Measured, Row, Target, axes, data, run, setup, spread, timed
from benchmarks.overhead import Clock
from core.errors import InputError
from ui.reports.stored import plots, read


def report(folder, **options):
    figure, drawn = axes("Title", "x", "y")
    drawn.plot([1, 2], [3, 4])
    found = Measured(
        "cups", 4, [Row("ours", {"cups/s": 2.0}, spread([0.001, 0.003])), Row("theirs", {"cups/s": 1.0}, {}, baseline=True)],
        [Target("times as fast", 2.0, 5.0, least=True), Target("ms", 2.0, 5.0)], ["Four cups."], {"by-size": figure},
    )  # fmt: skip
    run("benchmarks.cups", argparse.Namespace(short=False, report=folder, json=options.get("json", False)), lambda: found, threads=2)


def test_percentiles_are_in_milliseconds():
    assert spread([0.001, 0.002, 0.003, 0.004, 0.005]) == pytest.approx({"p25": 2.0, "p50": 3.0, "p75": 4.0, "p95": 4.8})


def test_every_item_is_timed_once():
    seen = []
    times = timed(seen.append, "abc")
    assert seen == ["a", "b", "c"]
    assert [time >= 0 for time in times] == [True] * 3


def test_a_target_is_a_least_or_a_most():
    assert [Target("x", 2, 3).met, Target("x", 3, 3).met, Target("x", 4, 3).met] == [True, True, False]
    assert [Target("x", 2, 3, least=True).met, Target("x", 3, 3, least=True).met] == [False, True]


def test_a_report_is_one_that_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cups", "--report", "there"])
    report(tmp_path)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["command"] == "python -m benchmarks.cups --report there"
    assert written["targets"][0] == {"what": "times as fast", "measured": 2.0, "reach": 5.0, "least": True, "met": False}
    assert written["setup"].keys() == setup(2).keys()
    (suite,) = read(tmp_path)
    assert [(s.name, s.baseline, s.metrics, s.latency_ms.get("p50")) for s in suite.results] == [
        ("ours", False, {"cups/s": 2.0}, 2.0),
        ("theirs", True, {"cups/s": 1.0}, None),
    ]
    assert [plot.shows for plot in plots(tmp_path, "cups")] == ["by size"]


def test_the_command_names_the_data_by_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SWITCHYARD_DATA", "/some/where")
    monkeypatch.setattr("sys.argv", ["cups", "/some/where/rows.jsonl"])
    report(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["command"] == "python -m benchmarks.cups $SWITCHYARD_DATA/rows.jsonl"


def test_json_is_one_document_on_stdout(capsys):
    report(None, json=True)
    assert json.loads(capsys.readouterr().out)["suite"] == "cups"


def test_what_people_read(capsys):
    report(None)
    said = capsys.readouterr().out
    assert "missed: times as fast 2, to be at least 5" in said
    assert "reached: ms 2, to be at most 5" in said


def test_a_known_error_is_one_line():
    def fails():
        raise InputError("Expected cups; got none.")

    with pytest.raises(SystemExit, match=r"^Expected cups; got none\.$"):
        run("benchmarks.cups", argparse.Namespace(report=None, json=False), fails)


def test_without_the_data_it_says_so_and_is_left_out(capsys):
    with pytest.raises(SystemExit) as left:
        data("sleep", "corpus.jsonl")
    assert left.value.code == SKIPPED
    assert "expected sleep/corpus.jsonl in the folder that SWITCHYARD_DATA names" in capsys.readouterr().err


def test_a_clock_counts_what_overlaps_once(monkeypatch):
    now = iter([0.0, 5.0, 10.0, 11.0])
    monkeypatch.setattr("benchmarks.overhead.time.perf_counter", lambda: next(now))
    clock = Clock()
    inner = clock.around(lambda: "tea")
    assert clock.around(lambda: inner())() == "tea"
    assert clock.seconds == 5.0
    inner()
    assert clock.seconds == 6.0


def test_a_table_holds_what_the_report_says(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cups"])
    report(tmp_path / "cups")
    filled = tables.filled("# Cups\n\n<!-- results: cups -->\nold\n<!-- end -->\n\n<!-- results: none -->\n<!-- end -->\n", tmp_path)
    assert "| ours | 2 | 2 | 2.9 |\n| theirs | 1 |  |  |\n" in filled
    assert "| times as fast | 2 | at least 5 | missed |" in filled
    assert "$ python -m benchmarks.cups\n" in filled
    assert "old" not in filled
    assert "<!-- results: none -->\n\nNot measured yet.\n" in filled
    assert tables.filled(filled, tmp_path) == filled


def test_the_documents_hold_the_committed_results():
    text = "".join(document.read_text(encoding="utf-8") for document in tables.DOCUMENTS)
    assert tables.filled(text, tables.RESULTS) == text
    measured = {path.parent.name for path in tables.RESULTS.glob("*/report.json") if "targets" in json.loads(path.read_text())}
    assert measured <= set(tables.named(text))
