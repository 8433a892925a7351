"""The pages "Evaluation" and "Models", driven without a browser."""

import json

import numpy as np
import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from core.errors import InputError
from core.settings import ROOT
from graph.recommender import Measured, Recommender
from tests.conftest import close
from ui.reports import markup
from ui.reports.stored import folders, matching, plots, read

APP = ROOT / "ui" / "app.py"
NASTY = '<script>alert("x")</script>'
PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
WRONG = [{"text": f"question {n} {NASTY}", "label": "tea", "predicted": None, "scores": [1, 2]} for n in range(60)]
REPORT = {
    "suite": "routing",
    "n": 200,
    "command": f"switchyard eval routing {NASTY}",
    "results": [
        {
            "name": "similarity",
            "baseline": False,
            "metrics": {"accuracy": 0.9, "recall.tea": None},
            "interval": {"accuracy": [0.85, 0.95]},
            "latency_ms": {"p50": 1.234, "p95": None},
        },
        {"name": NASTY, "baseline": True, "metrics": {"accuracy": 0.5}, "interval": {}, "latency_ms": {}},
    ],
    "wrong": WRONG,
}


@pytest.fixture
def pages(tiny):
    """`pages(services, "models")`: the page over these services, after its first run; no reports but those of their home."""
    with pytest.MonkeyPatch.context() as patch:

        def make(services, page):
            patch.setattr("graph.services.services", lambda: services)
            patch.setattr("core.settings.ROOT", tiny.settings.home)
            return AppTest.from_file(APP, default_timeout=60).run().switch_page(f"reports/{page}.py").run()

        yield make


def html(page):
    return "\n".join(element.proto.body for element in page.get("html"))


def write(folder, report):
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(report if isinstance(report, str) else json.dumps(report))
    return folder


def test_without_reports_the_page_says_how_to_make_one(tiny, pages):
    page = pages(tiny, "evaluation")
    assert not page.exception
    assert "No report yet" in html(page)
    assert f"switchyard eval all --report {tiny.settings.home / 'reports' / 'all'}" in html(page)


def test_a_report_is_shown_with_plots_and_searchable_mistakes(tiny, pages):
    folder = write(tiny.settings.home / "reports" / "mine", REPORT)
    (folder / "routing-metrics.png").write_bytes(PNG)
    (folder / "report.html").write_text("<p>whole</p>")
    page = pages(tiny, "evaluation")
    assert not page.exception
    shown = html(page)
    assert "0.900<small>0.850 to 0.950</small>" in shown
    assert "200 rows" in shown
    assert 'alt="Metrics"' in shown
    assert "60 items, the first 50 shown" in shown
    assert NASTY not in shown
    assert "&lt;script&gt;" in shown
    page.text_input[0].set_value("question 59 TEA").run()
    assert "1 item<" in html(page)
    assert "question 59 " in html(page)
    assert "question 5 " not in html(page)


def test_a_broken_report_is_one_line_and_the_others_stay(tiny, pages):
    write(tiny.settings.home / "reports" / "broken", '{"suite": ')
    page = pages(tiny, "evaluation")
    assert not page.exception
    assert "expected a report of switchyard eval; it is none, or half-written" in html(page)


def test_of_several_suites_one_is_chosen(tiny, pages):
    write(tiny.settings.home / "reports" / "all", [REPORT, REPORT | {"suite": "retrieval", "wrong": [], "n": 7}])
    page = pages(tiny, "evaluation")
    assert not page.exception
    assert "200 rows" in html(page)
    page.radio[0].set_value("retrieval").run()
    assert not page.exception
    assert "7 rows" in html(page)


@pytest.mark.parametrize("report", ["[]x", "{}", '{"suite": 1}', json.dumps(REPORT | {"results": [{"name": 1}]})])
def test_what_is_no_report_is_refused(tmp_path, report):
    with pytest.raises(InputError, match="expected a report of switchyard eval"):
        read(write(tmp_path / "r", report))


def test_reports_are_found_newest_first_and_only_in_their_places(tmp_path):
    import os

    old, new = write(tmp_path / "reports" / "old", REPORT), write(tmp_path / "reports" / "a" / "b" / "new", REPORT)
    write(tmp_path / "reports" / "a" / "b" / "c" / "too-deep", REPORT)
    os.utime(old / "report.json", (1, 1))
    assert folders([tmp_path / "reports", tmp_path / "nowhere"]) == [new, old]


def test_only_pictures_of_the_suite_are_shown(tmp_path):
    for name, body in (("routing-a-b.png", PNG), ("routing-fake.png", b"<svg>"), ("retrieval-a.png", PNG)):
        (tmp_path / name).write_bytes(body)
    assert [(plot.shows, plot.png) for plot in plots(tmp_path, "routing")] == [("a b", PNG)]


def test_all_words_must_be_there():
    items = [{"text": "Green tea", "label": "tea"}, {"text": "Bees", "label": "bees"}]
    assert matching(items, "TEA green") == items[:1]
    assert matching(items, "") == items
    assert matching(items, "tea bees") == []


def test_families_of_many_metrics_are_left_to_the_file():
    many = REPORT | {"results": [REPORT["results"][0] | {"metrics": {"accuracy": 1.0} | {f"recall.{n}": 1.0 for n in range(13)}}]}
    [suite] = markup_suites(many)
    assert markup.shown_metrics(suite.results) == ["accuracy"]


def markup_suites(report):
    from pydantic import TypeAdapter

    from ui.reports.stored import Suite

    return TypeAdapter(list[Suite]).validate_python([report])


@pytest.fixture
def trained(tiny):
    tiny.settings = tiny.settings.model_copy(update={"keys": {"openai": SecretStr("k")}})
    prompts = [f"How long does green tea steep in cup {n}?" if n % 2 else f"Prove theorem {n}. {NASTY}" for n in range(80)]
    scores = np.array([[n % 2, 0.6, 1.0] for n in range(80)], np.float64)
    costs = np.tile([0.0, 0.01, np.nan], (80, 1))
    made = Recommender("neighbours", tiny.encoder)
    made.fit(Measured(prompts, ["local:reader", "openai:gpt-5", "deepseek:deepseek-chat"], scores, costs, np.full(costs.shape, np.nan)))
    made.save(tiny.settings.home / "recommender")
    yield tiny
    close(tiny)


def test_models_are_listed_before_anything_is_trained(tiny, pages):
    page = pages(tiny, "models")
    assert not page.exception
    shown = html(page)
    assert "local:reader" in shown
    assert "DEEPSEEK_API_KEY is not set" in shown
    assert "1.25 in, 10 out<small>list of 2025-10-01</small>" in shown
    assert "The inferior model answers first" in shown
    assert "No recommender is trained yet" in shown
    assert "switchyard train recommender DATA.jsonl" in shown


def test_a_prompt_can_be_tried(trained, pages):
    page = pages(trained, "models")
    assert not page.exception
    assert "The recommended model answers first" in html(page)
    assert '<td data-name="quality">0.60</td><td data-name="cost">$0.01</td><td data-name="measured on">80 prompts</td>' in html(page)
    page.text_area[0].set_value("How long does green tea steep?")
    page.button(key="models-go").click().run()
    assert not page.exception
    assert "Ask local:reader <small>the best expected quality</small>" in html(page)
    page.radio[0].set_value("Quality within a budget").run()
    page.text_area[0].set_value("Prove theorem 8.")
    page.number_input(key="models-budget").set_value(0.02)
    page.button(key="models-go").click().run()
    shown = html(page)
    assert "Ask openai:gpt-5 <small>the best for at most $0.02</small>" in shown
    assert NASTY not in shown
    page.radio[0].set_value("The cheapest that is good enough").run()
    page.number_input(key="models-floor").set_value(0.99)
    page.button(key="models-go").click().run()
    assert "No model reaches a quality of 0.99" in html(page)
