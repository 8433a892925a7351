import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from core.errors import InputError
from evaluation.metrics import Bin, cost_quality, risk_coverage
from evaluation.plots import plots
from evaluation.report import as_html, as_json, check_folder, show, write
from evaluation.results import Confusion, Measure, Report, average, result


def report(wrong=()):
    good = result("similarity", {"accuracy": average([1, 1, 0, 1])}, plain={"ece": 0.25}, seconds=[0.001, 0.003])
    base = result("random", {"accuracy": average([1, 0, 0, 0])}, plain={"ece": None}, baseline=True)
    confusion = Confusion(["tea", "<b>"], np.array([[3, 0], [1, 0]]))
    bins = [Bin(0.5, 0.5, 2), Bin(0.9, 1.0, 2)]
    return Report("routing", 4, "switchyard eval routing 'my file.jsonl'", ["accuracy"], [base, good], list(wrong), bins, confusion)


def test_a_result_holds_its_numbers_intervals_and_latency():
    found = result("x", {"accuracy": average([1, 1, 0, 1]), "none": Measure(0, lambda rows: None)}, seconds=[0.001, 0.003])
    assert found.metrics == {"accuracy": 0.75, "none": None}
    low, high = found.interval["accuracy"]
    assert 0 <= low <= 0.75 <= high <= 1
    assert "none" not in found.interval
    assert found.latency_ms == {"p50": 2.0, "p95": 2.9}


def test_json_has_the_agreed_keys_best_first():
    document = json.loads(as_json([report([{"text": "a", "label": "tea"}])]))
    assert list(document) == ["suite", "n", "command", "results", "wrong"]
    assert [r["name"] for r in document["results"]] == ["similarity", "random"]
    assert document["results"][1]["metrics"] == {"accuracy": 0.25, "ece": None}
    assert document["results"][1]["latency_ms"] == {"p50": None, "p95": None}
    assert set(document["results"][0]) == {"name", "baseline", "metrics", "interval", "latency_ms"}
    assert document["wrong"] == [{"text": "a", "label": "tea"}]


def test_several_suites_are_one_list():
    assert [d["suite"] for d in json.loads(as_json([report(), report()]))] == ["routing", "routing"]


def test_no_nan_ever():
    broken = report()
    broken.results[0].metrics["accuracy"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        as_json([broken])


def printed(shown, width):
    out = io.StringIO()
    show(shown, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 120])
def test_the_table_for_people(width):
    text = printed(report([{"text": f"wrong {n}\x1b[31m", "label": ["tea", "bees"], "rank": None} for n in range(25)]), width)
    assert "0.750 [" in text
    assert "(baseline)" in text
    assert "- wrong 19 [31m  label: tea, bees, rank: none" in text
    assert "wrong 20" not in text
    assert "... and 5 more: --json lists them all." in text
    assert "Reproduce: switchyard eval routing 'my file.jsonl'" in text
    assert "\x1b" not in text
    columns = {name: line.index(name) for line in text.splitlines()[:6] for name in ("similarity", "random") if name in line}
    assert columns["similarity"] < columns["random"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_number_is_cut_however_narrow_the_terminal(width):
    names = ("neighbours", "kernel", "logistic", "xgboost", "best-single", "oracle")
    many = [result(name, {"accuracy": average([1.0, 0.0]), "cost": average([10.0, 20.0])}) for name in names]
    text = printed(Report("routing", 2, "c", ["accuracy"], many, []), width)
    assert "…" not in text
    assert [text.count(name) for name in (*names, "[.00–1]", "[10.00–20.00]")] == [1] * 6 + [6] * 2


def test_many_labels_are_left_to_the_json():
    many = result("x", {"accuracy": average([1.0])} | {f"recall.label{n}": average([1.0]) for n in range(13)})
    text = printed(Report("routing", 1, "c", ["accuracy"], [many], []), 80)
    assert "accuracy" in text
    assert "recall" not in text


def test_the_folder_holds_json_and_a_page_that_needs_nothing_else(tmp_path):
    shown = report([{"text": "<script>alert(1)</script>", "label": "tea"}])
    write([shown], tmp_path / "new" / "folder")
    assert json.loads((tmp_path / "new/folder/report.json").read_text()) == shown.as_dict()
    page = (tmp_path / "new/folder/report.html").read_text()
    pictures = sorted(file.name for file in (tmp_path / "new/folder").glob("*.png"))
    assert pictures == ["routing-confusion.png", "routing-metrics.png", "routing-reliability.png"]
    assert page.count('src="data:image/png;base64,iVBOR') == 3
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "switchyard eval routing &#x27;my file.jsonl&#x27;" in page
    assert "http" not in page


def test_an_earlier_report_is_replaced_with_its_plots_and_nothing_else_is(tmp_path):
    write([report(), replace(report(), suite="answers")], tmp_path)
    (tmp_path / "answers-mine.png").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    bare = replace(report(), reliability=[], confusion=None)
    check_folder(tmp_path)
    write([bare], tmp_path)
    kept = ["answers-mine.png", "notes.txt", "report.html", "report.json", "routing-metrics.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert json.loads((tmp_path / "report.json").read_text()) == bare.as_dict()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("report.json", '{"findings": {}}'),
        ("report.json", "[]"),
        ("report.json", "notes"),
        ("report.html", "<p>mine"),
        ("routing-metrics.png", "mine"),
    ],
)
def test_a_file_of_the_users_is_not_replaced(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    if not name.endswith(".png"):  # which plots come of it is not known before
        with pytest.raises(InputError, match=rf"{name} was not made here: it is not overwritten\. Choose another folder: --report DIR$"):
            check_folder(tmp_path)
    with pytest.raises(InputError, match=rf"{name} was not made here"):
        write([report()], tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: text}


def test_ctrl_c_leaves_no_half_and_the_next_report_is_written(tmp_path, monkeypatch):
    for last in ("routing-confusion.png", "report.html", "report.json"):
        real = Path.replace

        def stop(self, target, last=last, real=real):
            if target.name == last:
                raise KeyboardInterrupt
            return real(self, target)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "replace", stop)
            write([report()], tmp_path)
        assert not (tmp_path / "report.json").exists()
    write([report()], tmp_path)
    pictures = ["routing-confusion.png", "routing-metrics.png", "routing-reliability.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json", *pictures]


def test_equal_numbers_give_equal_pages():
    pages = [as_html([shown], [plots(shown)]) for shown in (report(), report())]
    assert pages[0] == pages[1]


def test_curves_are_drawn_and_notes_are_shown():
    shown = replace(
        report(),
        cost_quality={"similarity": cost_quality(np.array([2.0, 1.0]), np.zeros(2), np.array([1.0, 0.0]))},
        risk_coverage={"similarity": risk_coverage(np.array([0.9, 0.1]), np.array([True, False]))},
        notes=["Mind <this>."],
    )
    shown.results[0].metrics["apgr"] = shown.results[1].metrics["apgr"] = 0.75
    assert [p.name for p in plots(shown)] == [
        f"routing-{n}" for n in ("metrics", "cost-quality", "reliability", "risk-coverage", "confusion")
    ]
    assert all(p.png.startswith(b"\x89PNG") for p in plots(shown))
    assert "Mind <this>." in printed(shown, 120)
    assert "<p>Mind &lt;this&gt;.</p>" in as_html([shown], [[]])


def test_an_interval_around_nought_is_written_short():
    found = result("x", {"gain": Measure(2, lambda rows: float(rows.sum()) - 1)})
    text = printed(Report("confidence", 2, "c", ["gain"], [found], []), 80)
    assert "0.000 [-1–1]" in text


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Expected a folder to write the report to"):
        write([report()], tmp_path / "file")
