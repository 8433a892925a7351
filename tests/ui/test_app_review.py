"""The route that waits for the user's word, in the page."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from core.pictures import open_pictures
from graph.api import events, waiting
from graph.services import Services
from graph.state import Context
from store.runs import thread_runs, threads
from tests.pictures import picture
from tests.ui.test_app import QUESTION, Open, ask, html, open_page  # noqa: F401  # the page over given services
from ui.chat.turn import GONE


def choice(page: AppTest) -> Selectbox:
    """Where another expert is chosen."""
    [found] = [box for box in page.selectbox if (box.key or "").startswith("review-choice-")]
    return found


def test_a_route_is_accepted_by_a_click(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = open_page(tiny)
    page.toggle(key="review-routes").set_value(True).run()
    ask(page, QUESTION)
    assert "This would go to <b>Tea</b>. Who should answer?" in html(page)
    assert choice(page).options == ["Tea, as found", "Bees (< 1%)"]
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
    choice(page).select("bees").run()
    page.button(key="review-ask").click().run()
    (thread,) = threads(tiny.engine)
    assert [(run.question, run.answer["expert"]) for run in thread_runs(tiny.engine, thread.thread_id)] == [(QUESTION, "bees")]


def test_a_route_that_waits_is_offered_again_when_the_page_is_opened_anew(tiny: Services, open_page: Open) -> None:  # noqa: F811
    before = open_page(tiny)
    before.toggle(key="review-routes").set_value(True).run()
    ask(before, QUESTION)
    thread = "".join(before.query_params["thread"])
    page = open_page(tiny, thread)
    assert "This would go to <b>Tea</b>. Who should answer?" in html(page)
    assert f'tabindex="0">{QUESTION}</div>' in html(page)
    choice(page).select("bees").run()
    page.button(key="review-ask").click().run()
    assert [(run.question, run.answer["expert"]) for run in thread_runs(tiny.engine, thread)] == [(QUESTION, "bees")]
    assert "Who should answer?" not in html(open_page(tiny, thread))


def test_a_route_of_a_follow_up_waits_below_the_turns_before_it(tiny: Services, open_page: Open) -> None:  # noqa: F811
    before = ask(open_page(tiny), QUESTION)
    before.toggle(key="review-routes").set_value(True).run()
    ask(before, "And black tea?")
    page = open_page(tiny, "".join(before.query_params["thread"]))
    said = html(page)
    assert said.index(QUESTION) < said.index("And black tea?") < said.index("Who should answer?")
    page.button(key="new-chat").click().run()
    assert "Who should answer?" not in html(page)


def test_a_route_that_waits_is_kept_while_another_one_waits_elsewhere(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = open_page(tiny)
    page.toggle(key="review-routes").set_value(True).run()
    ask(page, QUESTION)
    page.button(key="new-chat").click().run()
    ask(page, "Why do bees dance?")
    waiting_ones = [button for button in page.button if button.icon == ":material/hourglass_top:"]
    assert [button.label for button in waiting_ones] == ["Why do bees dance\\?", "How long does green tea steep\\?"]
    waiting_ones[1].click().run()
    assert "This would go to <b>Tea</b>. Who should answer?" in html(page)
    assert choice(page).options[0] == "Tea, as found"
    page.button(key="review-ask").click().run()
    assert [thread.title for thread in threads(tiny.engine)] == [QUESTION]
    assert [button.label for button in page.button if button.icon == ":material/hourglass_top:"] == ["Why do bees dance\\?"]


def test_a_conversation_that_has_only_a_route_is_deleted(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = open_page(tiny)
    page.toggle(key="review-routes").set_value(True).run()
    ask(page, QUESTION)
    name = "".join(page.query_params["thread"])
    page.button(key=f"delete-{name}").click().run()
    assert "will be gone for good" in page.markdown[-1].value
    assert "0 turns" not in page.markdown[-1].value
    page.button(key="confirm-delete").click().run()
    assert "Who should answer?" not in html(page)
    assert waiting(name, None, tiny) is None


def test_a_route_of_an_owner_is_offered_to_nobody_here(tiny: Services, open_page: Open) -> None:  # noqa: F811
    *_, last = events(QUESTION, Context(review=True, owner="ann"), "ann:t", tiny)
    assert last["type"] == "review"
    page = open_page(tiny, "ann:t")
    assert "Who should answer?" not in html(page)
    assert "thread" not in page.query_params


def test_a_picture_that_was_not_kept_is_said_to_be_gone(tiny: Services, open_page: Open) -> None:  # noqa: F811
    *_, last = events(QUESTION, Context(review=True, images=open_pictures([picture()])), "t", tiny)
    assert last["type"] == "review"
    assert GONE in html(open_page(tiny, "t"))


def test_nobody_is_asked(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = open_page(tiny)
    page.toggle(key="review-routes").set_value(True).run()
    ask(page, QUESTION)
    page.button(key="review-decline").click().run()
    assert "Nobody was asked, as you decided." in page.markdown[0].value


def test_a_vague_message_is_asked_back_about(tiny: Services, open_page: Open) -> None:  # noqa: F811
    page = ask(open_page(tiny), "how does it work?")
    assert "<b>Asked back</b>" in html(page)
    assert "what do you mean by “it”?" in page.markdown[0].value
