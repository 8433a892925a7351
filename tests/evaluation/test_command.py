import errno
import json

import pytest

from tests.evaluation.test_data import written
from ui.cli import main


@pytest.fixture(autouse=True)
def tiny_app(monkeypatch, tiny_settings):
    monkeypatch.setenv("SWITCHYARD_HOME", str(tiny_settings.home))
    monkeypatch.setenv("SWITCHYARD_EXPERTS", str(tiny_settings.experts_dir))
    monkeypatch.setenv("SWITCHYARD_INDEXES", str(tiny_settings.indexes_dir))


def without_latency(document):
    for suite in document if isinstance(document, list) else [document]:
        for result in suite["results"]:
            result.pop("latency_ms")
    return document


def test_all_suites_give_the_same_numbers_twice(capsys, tmp_path):
    runs = []
    for _ in range(2):
        assert main(["eval", "all", "--json", "--report", str(tmp_path / "report")]) == 0
        runs.append(without_latency(json.loads(capsys.readouterr().out)))
    assert runs[0] == runs[1]
    suites = ["routing", "retrieval", "answers", "confidence", "abstention"]
    assert [s["suite"] for s in runs[0]] == suites
    assert [s["command"] for s in runs[0]] == [f"switchyard eval {suite}" for suite in suites]
    assert without_latency(json.loads((tmp_path / "report/report.json").read_text())) == runs[0]
    metrics = [(m, v) for s in runs[0] for r in s["results"] for m, v in r["metrics"].items() if not m.startswith("n.")]
    assert [(m, v) for m, v in metrics if v is not None and not 0 <= v <= 1] == []


def test_routing_with_files_names_the_command_that_repeats_it(capsys, tmp_path):
    rows = [{"utterance": t, "label": label} for label, t in (("x", "rain"), ("y", "jazz"), ("x", "snow"), ("y", "blues"))]
    path = written(tmp_path / "my test.jsonl", *rows)
    args = ["eval", "routing", str(path), "--train", str(path), "--router", "similarity", "--map", "text=utterance"]
    assert main(args) == 0
    out = capsys.readouterr().out
    expected = f"switchyard eval routing '{path}' --train '{path}' --router similarity --map text=utterance"
    assert f"Reproduce: {expected}" in out
    assert "accuracy" in out
    assert main([*args, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["suite"], document["n"], document["command"]) == ("routing", 4, expected)


def test_escalation_with_files_names_the_command_and_writes_the_plots(capsys, tmp_path):
    rows = [{"ask": f"{'long ' * n} {n}", "models": {"weak": n % 3 != 0, "strong": 1}, "set": n % 7} for n in range(30)]
    path = written(tmp_path / "pairs.jsonl", *rows)
    maps = ["prompt=ask", "weak_score=models.weak", "strong_score=models.strong"]
    args = ["eval", "escalation", str(path), "--group", "set", "--router", "length", *(word for m in maps for word in ("--map", m))]
    assert main([*args, "--json", "--report", str(tmp_path / "report")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "report" / "report.json").read_text())
    assert (document["suite"], document["n"]) == ("escalation", 30)
    assert document["command"] == f"switchyard eval escalation {path} --group set --router length --map " + " --map ".join(maps)
    assert {r["name"] for r in document["results"]} == {"length", "random", "always-inferior", "always-superior", "oracle"}
    written_there = sorted(p.name for p in (tmp_path / "report").iterdir())
    assert written_there == ["escalation-cost-quality.png", "escalation-metrics.png", "report.html", "report.json"]


def test_confidence_with_a_file(capsys, tmp_path):
    rows = [{"prompt": f"q {n}", "response": f"{n} + 1 = {n + 1 + n % 2}", "correct": n % 2 == 0} for n in range(30)]
    path = written(tmp_path / "judged.jsonl", *rows)
    assert main(["eval", "confidence", str(path), "--report", str(tmp_path / "report")]) == 0
    out = capsys.readouterr().out
    assert f"Reproduce: switchyard eval confidence {path}" in out
    assert f"Written: {tmp_path / 'report' / 'report.html'}, report.json and the plots beside it." in out
    pictures = sorted(p.name for p in (tmp_path / "report").glob("*.png"))
    assert pictures == ["confidence-metrics.png", "confidence-reliability.png", "confidence-risk-coverage.png"]


def test_a_report_that_cannot_be_written_is_said_before_anything_is_measured(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluation.routing.evaluate", lambda *_, **__: pytest.fail("measured"))
    (tmp_path / "file").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").touch()
    lines = {
        "file/report": f"Cannot write to {tmp_path}/file/report: {tmp_path}/file is no folder that you may write to. Choose another:",
        "mine": f"{tmp_path}/mine/report.html was not made here: it is not overwritten. Choose another folder:",
    }
    for folder, line in lines.items():
        assert main(["eval", "routing", "--report", str(tmp_path / folder)]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", f"Error: {line} --report DIR\n")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_full_disk_does_not_cost_what_was_measured(capsys, tmp_path, monkeypatch, form):
    def full(folder, files):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("evaluation.report.write_files", full)
    path = written(tmp_path / "rows.jsonl", {"text": "rain", "label": "x"}, {"text": "jazz", "label": "y"})
    args = ["eval", "routing", str(path), "--train", str(path), "--router", "majority", *form]
    assert main([*args, "--report", str(tmp_path / "report")]) == 2
    captured = capsys.readouterr()
    assert "accuracy" in captured.out
    assert "Written" not in captured.out
    assert captured.err.endswith("cannot be written: No space left on device.\n")


def test_abstention_from_a_corpus(capsys, tmp_path):
    cities = [("Oslo", "Norway"), ("Rome", "Italy"), ("Vienna", "Austria")]
    corpus = written(tmp_path / "c.jsonl", *({"_id": c, "title": c, "text": f"{c} is the capital of {country}."} for c, country in cities))
    asked = [{"qid": c, "question": f"What is the capital of {country}?", "passage_id": c, "answers": [c]} for c, country in cities]
    qrels = written(tmp_path / "q.jsonl", *asked)
    other = written(tmp_path / "o.jsonl", {"_id": "1", "text": "Bees hum."}, {"_id": "2", "text": "Tea steeps."})
    args = ["eval", "abstention", "--corpus", str(corpus), "--qrels", str(qrels), "--against", str(other)]
    assert main([*args, "--passages", "2", "--json", "--report", str(tmp_path / "report")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["suite"], document["n"], document["command"]) == ("abstention", 9, f"switchyard {' '.join(args)} --passages 2")
    assert {r["name"] for r in document["results"]} == {"reader", "best-cosine", "word-overlap", "majority", "random"}
    reader = next(r for r in document["results"] if r["name"] == "reader")
    assert reader["metrics"]["auroc.other"] == 1.0
    low, high = reader["interval"]["auroc.other"]
    assert (low, high) == (1.0, 1.0)
    pictures = sorted(p.name for p in (tmp_path / "report").glob("*.png"))
    assert pictures == ["abstention-metrics.png", "abstention-reliability.png", "abstention-risk-coverage.png"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["routing", "--train", "t.jsonl"], "Expected a test file beside --train"),
        (["routing", "none.jsonl"], "Expected a JSONL file at none.jsonl"),
        (["routing", "--router", "magic"], "No router is called 'magic'"),
        (["routing", "--map", "label"], "Expected --map OURS=THEIRS"),
        (["retrieval", "--corpus", "c.jsonl"], "Expected --corpus and --qrels together; got only --corpus"),
        (["answers", "--qrels", "q.jsonl"], "Expected --corpus and --qrels together; got only --qrels"),
        (["answers", "--oracle"], "Expected files beside --oracle and --candidates"),
        (["abstention", "none.jsonl"], "Expected a JSONL file at none.jsonl"),
        (["abstention", "a.jsonl", "--corpus", "c.jsonl", "--qrels", "q.jsonl"], "Expected a file, or --corpus and --qrels"),
        (["abstention", "--against", "c.jsonl"], "Expected a file, or --corpus and --qrels"),
        (["abstention", "--passages", "3"], "Expected --corpus and --qrels beside --passages"),
        (["abstention", "--qrels", "q.jsonl"], "Expected --corpus and --qrels together; got only --qrels"),
        (["escalation"], "data"),
        (["escalation", "none.jsonl"], "Expected a JSONL file at none.jsonl"),
        (["confidence", "--train", "t.jsonl"], "Expected a file of judged responses beside --train and --group"),
        (["confidence", "--group", "x"], "Expected a file of judged responses beside --train and --group"),
        (["nothing"], "nothing"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(capsys, args, message):
    assert main(["eval", *args]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
