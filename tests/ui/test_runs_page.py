"""The page "Runs", driven without a browser."""

import json
from datetime import date

import pytest
from streamlit.testing.v1 import AppTest

from core.settings import ROOT
from evaluation.drift import Change, Week
from graph.api import run
from graph.feedback import give
from graph.state import Context
from store.runs import record
from ui.reports import decision

APP = ROOT / "ui" / "app.py"
NASTY = '<script>alert("x")</script>'


@pytest.fixture
def page(tiny):
    """`page(run="...")`: the page at that address, after its first run."""

    def open_(**address):
        app = AppTest.from_file(APP, default_timeout=60).run().switch_page("reports/runs.py")
        for name, value in address.items():
            app.query_params[name] = value
        return app.run()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graph.services.services", lambda: tiny)
        yield open_


def html(app):
    return "\n".join(element.proto.body for element in app.get("html"))


def put(tiny, run_id, question="Why?", owner=None, **said):
    answer = {"run_id": run_id, "thread_id": run_id, "expert": "tea", "outcome": "answered", "confidence": 0.75, "answer": "So."}
    record(tiny.engine, question, answer | {"cost_usd": 0.0, "latency_ms": 1_500.0} | said, {}, owner)


def test_without_runs_the_page_says_how_to_make_one(page, tiny):
    put(tiny, "hers", owner="ann")
    app = page()
    assert not app.exception
    assert "No run yet" in html(app)
    assert "switchyard ask &quot;How long is a sleep cycle?&quot;" in html(app)


def test_runs_are_listed_filtered_and_not_those_of_others(page, tiny):
    put(tiny, "r1", f"Green {NASTY}?")
    put(tiny, "r2", "Black?", expert=None, outcome="declined")
    put(tiny, "r3", "White of hers?", owner="ann")
    app = page()
    assert not app.exception
    shown = html(app)
    assert "2 runs" in shown
    assert NASTY not in shown and "Green &lt;script&gt;" in shown
    assert "White of hers" not in shown
    assert '<a href="?run=r2">Black?</a>' in shown
    app.text_input[0].set_value("green").run()
    assert "1 run<" in html(app)
    assert '<a href="?run=r1&amp;words=green">' in html(app)
    app.text_input[0].set_value("").run()
    app.selectbox(key="runs-outcome").set_value("declined").run()
    assert "Black?" in html(app) and "Green" not in html(app)


def test_the_address_says_what_is_chosen(page, tiny):
    put(tiny, "r1", "Green?")
    put(tiny, "r2", "Black?", outcome="escalated")
    app = page(outcome="escalated", expert="no such expert")
    assert app.selectbox(key="runs-outcome").value == "escalated"
    assert app.selectbox(key="runs-expert").value == "any"
    assert "Black?" in html(app) and "Green?" not in html(app)


def test_a_run_opens_with_its_whole_decision(page, tiny):
    found = run("How long does green tea steep?", Context(), "kitchen", tiny)
    give(tiny, found.run_id, owner=None, rating=-1, expert="bees")
    app = page(run=found.run_id, outcome="answered")
    assert not app.exception
    shown = html(app)
    assert "<h1>How long does green tea steep?</h1>" in shown
    assert '<a class="rp-back" href="?outcome=answered">All runs</a>' in shown
    assert '<a href="./?thread=kitchen">the conversation</a>' in shown
    assert f"routed by {found.route.router}" in shown
    assert "Tea, attempt 1: local:reader (inferior)" in shown
    assert all(hit.passage.id in shown for hit in found.passages)
    assert "not acceptable; belongs to bees" in shown
    assert "steeps for two minutes" in app.markdown[0].value


def test_a_run_of_somebody_else_is_not_here(page, tiny):
    put(tiny, "hers", "A secret?", owner="ann")
    for run_id in ("hers", "nobodys"):
        app = page(run=run_id)
        assert not app.exception
        assert "That run is not here" in html(app)
        assert "secret" not in html(app)


def test_week_by_week_has_the_plot_and_what_it_rests_on(page, tiny):
    put(tiny, "r1")
    app = page()
    app.radio(key="runs-view").set_value("Week by week").run()
    assert not app.exception
    shown = html(app)
    assert "One week so far: there is nothing to compare it with yet." in shown
    assert 'src="data:image/png;base64,iVBOR' in shown
    assert "Fisher" in shown


def test_the_download_is_the_whole_run(page, tiny):
    from ui.reports.runs import as_json

    found = run("How long does green tea steep?", Context(), None, tiny)
    from store.runs import find_run

    stored = find_run(tiny.engine, found.run_id)
    assert stored is not None
    read = json.loads(as_json(stored, []))
    assert (read["run_id"], read["answer"]["answer"], read["feedback"]) == (found.run_id, found.answer, [])
    assert read["decision"]["question"] == "How long does green tea steep?"


def test_weeks_name_the_experts_by_their_titles():
    changes = [Change("route: tea", 0.001, 0.1, 0.9), Change("cost_usd", 0.001, 0.0, 0.1)]
    week = Week(date(2026, 1, 5), 4, routes={"bees + tea": 0.25, "coffee": 0.25, "none": 0.25, "tea": 0.25}, changes=changes)
    [found] = decision.named([week], {"tea": "Tea & more", "bees": "Bees", "coffee": "Tea & more"})
    assert found.routes == {"Bees + Tea & more": 0.25, "Tea & more": 0.5, "none": 0.25}
    assert [change.measure for change in found.changes] == ["route: Tea & more", "cost_usd"]
    assert week.routes["tea"] == 0.25


def test_weeks_that_are_alike_say_so():
    weeks = [Week(date(2026, 1, 5), 3), Week(date(2026, 1, 12), 4)]
    assert decision.changed(weeks) == '<p class="rp-small">No week differs from the earlier ones beyond chance.</p>'
