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
    assert [s["suite"] for s in runs[0]] == ["routing", "retrieval", "answers"]
    assert [s["command"] for s in runs[0]] == ["switchyard eval routing", "switchyard eval retrieval", "switchyard eval answers"]
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


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["routing", "--train", "t.jsonl"], "Expected a test file beside --train"),
        (["routing", "none.jsonl"], "Expected a JSONL file at none.jsonl"),
        (["routing", "--router", "magic"], "No router is called 'magic'"),
        (["routing", "--map", "label"], "Expected --map OURS=THEIRS"),
        (["retrieval", "--corpus", "c.jsonl"], "Expected --corpus and --qrels together; got only --corpus"),
        (["answers", "--qrels", "q.jsonl"], "Expected --corpus and --qrels together; got only --qrels"),
        (["answers", "--oracle"], "Expected files beside --oracle"),
        (["nothing"], "nothing"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(capsys, args, message):
    assert main(["eval", *args]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
