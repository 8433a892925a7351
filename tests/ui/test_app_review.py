"""The route that waits for the user's word, in the page."""

from __future__ import annotations

from graph.services import Services
from store.runs import thread_runs, threads
from tests.ui.test_app import QUESTION, Open, ask, html, open_page  # noqa: F401  # the page over given services


def test_a_route_is_accepted_by_a_click(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = open_page(tiny)
    page.toggle(key="review-routes").set_value(True).run()
    ask(page, QUESTION)
    assert "This would go to <b>Tea</b>. Who should answer?" in html(page)
    assert page.selectbox(key="review-choice").options == ["Tea, as found", "Bees (< 1%)"]
    assert threads(tiny.engine) == []
    page.button(key="review-ask").click().run()
    assert "two minutes" in page.markdown[0].value
    (thread,) = threads(tiny.engine)
    assert page.query_params["thread"] in (thread.thread_id, [thread.thread_id])


def test_another_expert_is_chosen_and_another_question_gives_up(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = open_page(tiny)
    page.toggle(key="review-routes").set_value(True).run()
    ask(page, "What is the tallest building?")
    ask(page, QUESTION)
    page.selectbox(key="review-choice").select("bees").run()
    page.button(key="review-ask").click().run()
    (thread,) = threads(tiny.engine)
    assert [(run.question, run.answer["expert"]) for run in thread_runs(tiny.engine, thread.thread_id)] == [(QUESTION, "bees")]


def test_nobody_is_asked(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = open_page(tiny)
    page.toggle(key="review-routes").set_value(True).run()
    ask(page, QUESTION)
    page.button(key="review-decline").click().run()
    assert "Nobody was asked, as you decided." in page.markdown[0].value


def test_a_vague_message_is_asked_back_about(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = ask(open_page(tiny), "how does it work?")
    assert "<b>One question first</b>" in html(page)
    assert "what do you mean by “it”?" in page.markdown[0].value
