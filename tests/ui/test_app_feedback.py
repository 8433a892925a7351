"""What the reader says below an answer, driven without a browser."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from graph.feedback import give
from graph.services import Services
from store.feedback import all_feedback, delete_feedback
from store.runs import Run, thread_runs, threads
from tests.ui.test_app import QUESTION, Open, ask, html, open_page

__all__ = ["open_page"]


def answered(page: AppTest, shared: Services) -> Run:
    ask(page, QUESTION)
    return thread_runs(shared.engine, threads(shared.engine)[0].thread_id)[0]


def test_a_thumb_is_saved_at_once_changed_and_taken_back(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    run = answered(page, tiny)
    assert "Saved, thank you" not in html(page)
    thumb = f"feedback-thumb-{run.run_id}"
    page.feedback(key=thumb).set_value(1).run()
    [said] = all_feedback(tiny.engine)
    assert (said.run_id, said.rating, said.owner, said.question) == (run.run_id, 1, None, QUESTION)
    assert "Saved, thank you" in html(page)
    page.feedback(key=thumb).set_value(0).run()
    assert [one.rating for one in all_feedback(tiny.engine)] == [-1]
    page.feedback(key=thumb).set_value(None).run()
    assert all_feedback(tiny.engine) == []
    assert "Saved, thank you" not in html(page)


def test_expert_source_and_text_are_corrected_together(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    run = answered(page, tiny)
    n = run.answer["citations"][0]["n"]
    page.selectbox(key=f"feedback-expert-{run.run_id}").set_value("bees").run()
    page.pills(key=f"feedback-sources-{run.run_id}").set_value([n]).run()
    page.text_area(key=f"feedback-text-{run.run_id}").set_value("  Three minutes. ").run()
    [said] = all_feedback(tiny.engine)
    assert (said.rating, said.expert, said.wrong_citations, said.text) == (None, "bees", [n], "Three minutes.")
    assert not page.exception


def test_what_no_widget_holds_stays(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    run = answered(page, tiny)
    give(tiny, run.run_id, owner=None, rating=0, comment="Too long.")
    expert, thumb = f"feedback-expert-{run.run_id}", f"feedback-thumb-{run.run_id}"
    page.selectbox(key=expert).set_value("bees").run()
    assert [(one.rating, one.expert, one.comment) for one in all_feedback(tiny.engine)] == [(0, "bees", "Too long.")]
    page.selectbox(key=expert).set_value("").run()
    page.feedback(key=thumb).set_value(1).run()
    page.feedback(key=thumb).set_value(None).run()
    assert [(one.rating, one.expert, one.comment) for one in all_feedback(tiny.engine)] == [(None, None, "Too long.")]
    assert not page.exception


def test_what_was_said_is_shown_again(tiny: Services, open_page: Open) -> None:
    run = answered(open_page(tiny), tiny)
    page = open_page(tiny, run.thread_id)
    page.selectbox(key=f"feedback-expert-{run.run_id}").set_value("out_of_scope").run()
    again = open_page(tiny, run.thread_id)
    assert again.selectbox(key=f"feedback-expert-{run.run_id}").value == "out_of_scope"
    assert "Saved, thank you" in html(again)


def test_a_turn_that_was_deleted_meanwhile_says_why_nothing_is_saved(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    run = answered(page, tiny)
    from store.runs import delete_thread

    delete_thread(tiny.engine, run.thread_id)
    page.feedback(key=f"feedback-thumb-{run.run_id}").set_value(1).run()
    assert all_feedback(tiny.engine) == []
    assert delete_feedback(tiny.engine, ["none"]) == 0
