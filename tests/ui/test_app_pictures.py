"""Pictures in the chat: taken with the question, shown above it, and never the reason why it is lost."""

from __future__ import annotations

import base64
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from graph.pictures import NO_EYES
from graph.services import Services
from llms.fake import ScriptedModel
from store.runs import thread_runs, threads
from tests.pictures import SECRET, eyes, photo, picture, pictures_of
from tests.ui.test_app import QUESTION, Open, html, open_page
from ui.chat.markup import question

__all__ = ["open_page"]
SAID = "Green tea steeps for two minutes. [1]"


def asked(page: AppTest, text: str, *files: tuple[str, bytes]) -> AppTest:
    """Send the text with these pictures."""
    field = page.chat_input[0]
    for name, data in files:
        field.upload(name, data)
    return field.set_value(text).run()


def seeing(scripted: Callable[..., Services], *replies: str) -> tuple[Services, ScriptedModel]:
    told = ScriptedModel(replies=list(replies))
    shared = scripted({"fake:told": told}, inferior="fake:told", superior="fake:told")
    eyes(shared, "fake:told")
    return shared, told


def test_a_picture_goes_to_the_model_and_stands_above_the_question(scripted: Callable[..., Services], open_page: Open) -> None:
    shared, told = seeing(scripted, SAID)
    page = asked(open_page(shared), QUESTION, ("pot.jpg", photo()))
    (seen,) = pictures_of(told.history[0])
    assert SECRET not in base64.b64decode(seen)
    assert "two minutes" in page.markdown[0].value
    assert '<div class="sy-pictures"><img src="data:image/jpeg;base64,' in html(page)
    assert f'alt="Picture 1"></div>{QUESTION}</div>' in html(page)
    [run] = thread_runs(shared.engine, threads(shared.engine)[0].thread_id)
    assert run.question == f"{QUESTION}\n\n[picture]"


def test_in_another_session_a_mark_is_in_its_place(scripted: Callable[..., Services], open_page: Open) -> None:
    shared, _ = seeing(scripted, SAID)
    asked(open_page(shared), QUESTION, ("pot.png", picture()))
    later = html(open_page(shared, threads(shared.engine)[0].thread_id))
    assert f"{QUESTION}\n\n[picture]</div>" in later
    assert "<img" not in later


def test_a_picture_alone_is_a_question(scripted: Callable[..., Services], open_page: Open) -> None:
    shared, _ = seeing(scripted, "Green tea leaves in a pot.", *[SAID] * 4)
    page = asked(open_page(shared), "", ("pot.png", picture()))
    assert 'alt="Green tea leaves in a pot."></div></div>' in html(page)
    assert threads(shared.engine)[0].title == "[picture: Green tea leaves in a pot.]"


def test_with_no_model_that_sees_the_question_is_answered_and_that_is_said(tiny: Services, open_page: Open) -> None:
    page = asked(open_page(tiny), QUESTION, ("pot.png", picture()))
    assert "two minutes" in page.markdown[0].value
    assert f'<div class="sy-notice" role="note">{NO_EYES}</div>' in html(page)


def test_a_file_that_is_no_picture_costs_no_word_of_the_question(tiny: Services, open_page: Open) -> None:
    page = asked(open_page(tiny), QUESTION, ("pot.png", b"<svg/>"))
    problem = "pot.png: expected a PNG, JPEG, GIF or WebP picture; this is something else. Convert it first."
    assert f'<div class="sy-problem" role="alert">{problem}</div>' in html(page)
    assert threads(tiny.engine) == []
    assert "problem-retry" not in [button.key for button in page.button]
    page.button(key="problem-edit").click().run()
    assert page.chat_input[0].proto.value == QUESTION


def test_what_is_shown_of_a_question() -> None:
    assert question("Why <b>?\n\n[picture]") == '<div class="sy-question" tabindex="0">Why &lt;b&gt;?\n\n[picture]</div>'
    assert question('[picture: a "pot" <i>]', ["data:x"]) == (
        '<div class="sy-question" tabindex="0"><div class="sy-pictures"><img src="data:x" alt="a &quot;pot&quot; &lt;i&gt;"></div></div>'
    )
