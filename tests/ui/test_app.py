"""The Streamlit page, driven without a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import ModelUnavailableError, StoreError
from core.settings import ROOT
from graph.api import compiled, run
from graph.memory import one_turn_at_a_time
from graph.services import Services
from graph.state import Context
from llms.fake import ScriptedModel
from store.runs import record, thread_runs, threads
from tests.graph.conftest import write_artifacts
from tests.graph.test_models import Breaking
from ui.chat.figures import spoken

APP = ROOT / "ui" / "app.py"
QUESTION = "How long does green tea steep?"
Open = Callable[..., AppTest]


@pytest.fixture
def open_page() -> Iterator[Open]:
    """`open_page(services, thread=None)`: the page over these services, after its first run."""
    with pytest.MonkeyPatch.context() as patch:

        def make(services: Services, thread: str | None = None) -> AppTest:
            patch.setattr("graph.services.services", lambda: services)
            page = AppTest.from_file(APP, default_timeout=60)
            if thread:
                page.query_params["thread"] = thread
            return page.run()

        yield make


def html(page: AppTest) -> str:
    """All of the page's HTML pieces."""
    return "\n".join(element.proto.body for element in page.get("html"))


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def ask(page: AppTest, question: str) -> AppTest:
    return page.chat_input[0].set_value(question).run()


def test_the_first_page_suggests_each_experts_questions(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    assert "Ask the right expert" in html(page)
    assert "Why do bees dance?" in [label.replace("\\", "") for label in labels(page)]
    assert "How long should green tea steep?" in [label.replace("\\", "") for label in labels(page)]
    assert page.selectbox[0].options == ["Automatic", "Bees", "Tea"]
    assert not page.exception


def test_a_question_gives_a_cited_answer_with_its_confidence(tiny: Services, open_page: Open) -> None:
    page = ask(open_page(tiny), QUESTION)
    run = thread_runs(tiny.engine, threads(tiny.engine)[0].thread_id)[0]
    n, name = run.answer["citations"][0]["n"], f"source-{run.run_id[:12]}"
    assert page.query_params["thread"] == run.thread_id
    assert "two minutes" in page.markdown[0].value
    assert f"[{n}](#{name}-{n})" in page.markdown[0].value
    assert f'<mark id="{name}-{n}">' in html(page)
    assert f"{spoken(run.answer['confidence'])} confident" in html(page)
    assert "Free: only local models were asked." in html(page)
    assert "Ask the right expert" not in html(page)


def test_a_suggestion_is_asked_by_a_click(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    next(button for button in page.button if button.key == "suggest-tea-0").click().run()
    assert threads(tiny.engine)[0].title == "How long should green tea steep?"
    assert "two minutes" in page.markdown[0].value


def test_what_no_expert_covers_is_declined(tiny: Services, open_page: Open) -> None:
    page = ask(open_page(tiny), "what is the capital of Norway")
    assert "<b>No expert asked</b>" in html(page)
    assert "confident" not in html(page)


def test_a_safety_notice_comes_first_and_once(tiny: Services, open_page: Open) -> None:
    page = ask(open_page(tiny), "I was stung by a bee and my throat is swelling")
    assert '<div class="sy-safety" role="alert">Trouble with breathing' in html(page)
    assert "call an ambulance" not in page.markdown[0].value


def test_a_failing_model_leaves_the_question_to_be_asked_again(scripted: Callable[..., Services], open_page: Open) -> None:
    down = ModelUnavailableError("fake:weak does not answer. Try again later.")
    models = {"fake:weak": ScriptedModel(replies=[down, "Green tea steeps for two minutes. [1]"])}
    reader = {"local:reader": ScriptedModel(replies=[down])}
    shared = scripted({**models, **reader}, inferior="fake:weak", superior="fake:weak", model_retries=0)
    page = ask(open_page(shared), QUESTION)
    assert '<div class="sy-problem" role="alert">fake:weak does not answer. Try again later.</div>' in html(page)
    assert f">{QUESTION}</div>" in html(page)
    assert threads(shared.engine) == []
    page.button(key="problem-retry").click().run()
    assert "two minutes" in page.markdown[0].value
    assert 'class="sy-problem"' not in html(page)


def test_an_answer_that_breaks_off_stays_and_can_be_asked_for_again(
    scripted: Callable[..., Services], open_page: Open, tmp_path: Path
) -> None:
    write_artifacts(tmp_path / "artifacts", live=True, policy={})
    models = {"fake:weak": Breaking(replies=["Green tea "] * 2)}
    shared = scripted(models, inferior="fake:weak", superior="fake:weak", model_retries=0, artifacts_dir=tmp_path / "artifacts")
    run(QUESTION, Context(live=True), "t", shared)
    page = open_page(shared, "t")
    assert page.markdown[0].value.startswith("Green tea")
    assert '<div class="sy-notice" role="note">fake:breaking broke off.</div>' in html(page)
    page.button(key="again").click().run()
    assert [run.answer["models"][-1]["model"] for run in thread_runs(shared.engine, "t")] == ["fake:weak", "local:reader"]


def test_an_interrupted_question_can_be_asked_again(scripted: Callable[..., Services], open_page: Open) -> None:
    told = ScriptedModel(replies=[])
    shared = scripted({"fake:told": told}, inferior="fake:told", superior="fake:told")
    page = ask(open_page(shared), QUESTION)
    assert page.exception[0].message  # not one of Switchyard's own errors: Streamlit shows that there was one, and the terminal says which
    told.replies.append("Green tea steeps for two minutes. [1]")
    page.button(key="stopped-retry").click().run()
    assert "two minutes" in page.markdown[0].value


def test_a_question_that_cannot_be_asked_can_be_edited(tiny: Services, open_page: Open) -> None:
    page = ask(open_page(tiny), "x" * 9_000)
    assert "at most 8,000 characters" in html(page)
    assert "Try again" not in labels(page)
    page.button(key="problem-edit").click().run()
    assert page.chat_input[0].proto.value == "x" * 9_000
    assert "at most 8,000 characters" not in html(page)


def test_threads_survive_a_restart_newest_first(scripted: Callable[..., Services], open_page: Open) -> None:
    page = ask(open_page(scripted({})), QUESTION)
    ask(page, "And black tea?")
    page.button(key="new-chat").click().run()
    ask(page, "Why do bees dance?")

    after = scripted({})
    page = open_page(after)
    titles = [button.label.replace("\\", "") for button in page.button if str(button.key).startswith("open-")]
    assert titles == ["Why do bees dance?", QUESTION]
    [tea] = [thread.thread_id for thread in threads(after.engine) if thread.title == QUESTION]
    page.button(key=f"open-{tea}").click().run()
    assert page.query_params["thread"] == tea
    assert "2 turns" in html(page)
    assert "two minutes" in page.markdown[0].value
    assert "two minutes" in open_page(after, tea).markdown[0].value


def test_the_latest_conversations_are_listed_and_all_of_them_on_demand(tiny: Services, open_page: Open) -> None:
    for n in range(30):
        record(tiny.engine, f"Question {n}", {"run_id": f"run-{n}", "thread_id": f"thread-{n}"}, {}, None)
    page = open_page(tiny)
    listed = [f"Question {n}" for n in range(29, -1, -1)]
    assert [button.label for button in page.button if str(button.key).startswith("open-")] == listed[:25]
    page.button(key="all-threads").click().run()
    assert [button.label for button in page.button if str(button.key).startswith("open-")] == listed


def test_a_thread_is_deleted_only_when_confirmed(tiny: Services, open_page: Open) -> None:
    page = ask(open_page(tiny), QUESTION)
    [thread] = threads(tiny.engine)
    page.button(key=f"delete-{thread.thread_id}").click().run()
    assert threads(tiny.engine) == [thread]
    page.button(key="confirm-delete").click().run()
    assert threads(tiny.engine) == []
    assert "thread" not in page.query_params
    assert "Ask the right expert" in html(page)


def test_a_thread_that_is_still_being_answered_stays(tiny: Services, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ask(open_page(tiny), QUESTION)
    [thread] = threads(tiny.engine)
    page.button(key=f"delete-{thread.thread_id}").click().run()
    monkeypatch.setattr("graph.memory.TURN_WAIT_S", 0.1)
    with one_turn_at_a_time(tiny, thread.thread_id):
        page.button(key="confirm-delete").click().run()
    said = "Another question of this conversation is still being answered. Wait for it, or start a new conversation."
    assert [toast.value for toast in page.toast] == [f"It was not deleted. {said}"]
    assert threads(tiny.engine) == [thread]
    assert "two minutes" in page.markdown[0].value


def test_a_thread_that_cannot_be_deleted_goes_on_as_before(tiny: Services, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ask(open_page(tiny), QUESTION)
    [thread] = threads(tiny.engine)

    def locked(*_: object) -> int:
        raise StoreError("The database failed: database is locked.")

    monkeypatch.setattr("store.runs.delete_thread", locked)
    page.button(key=f"delete-{thread.thread_id}").click().run()
    page.button(key="confirm-delete").click().run()
    assert [toast.value for toast in page.toast] == ["It was not deleted. The database failed: database is locked."]
    assert "two minutes" in page.markdown[0].value
    assert compiled(tiny).get_state({"configurable": {"thread_id": thread.thread_id}}).values["messages"]
    assert not page.run().toast


def test_a_thread_that_is_gone_opens_a_new_chat(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny, "nothing-here")
    assert "it may have been deleted" in page.toast[0].value
    assert "Ask the right expert" in html(page)


def test_the_conversation_of_an_owner_is_not_shown(tiny: Services, open_page: Open) -> None:
    from graph.api import run
    from graph.state import Context

    run(QUESTION, Context(owner="ann"), "hers", tiny)
    page = open_page(tiny, "hers")
    assert "two minutes" not in html(page)
    assert not page.markdown


def test_the_chosen_expert_and_model_are_asked(scripted: Callable[..., Services], open_page: Open) -> None:
    # The router would ask tea, whose passages answer; those of bees do not, so the model may be asked again.
    shared = scripted({"local:deep-reader": ScriptedModel(replies=["The passages do not answer this question."] * 4)})
    page = open_page(shared)
    page.selectbox[0].set_value("bees")
    page.selectbox[1].set_value("local:deep-reader")
    ask(page, QUESTION)
    [run] = thread_runs(shared.engine, threads(shared.engine)[0].thread_id)
    assert run.answer["expert"] == "bees"
    assert "Bees: no answer found" in html(page)
    assert run.answer["models"][0]["model"] == "local:deep-reader"


def test_what_is_chosen_survives_a_look_at_another_page(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    page.selectbox[0].set_value("bees")
    page.selectbox[1].set_value("local:deep-reader")
    page.toggle[0].set_value(True).run()
    page.switch_page("reports/models.py").run()
    page.switch_page("chat/page.py").run()
    assert [box.value for box in page.selectbox] == ["bees", "local:deep-reader"]
    assert page.toggle[0].value is True
    page.selectbox[1].set_value("").run()
    page.switch_page("reports/models.py").run()
    page.switch_page("chat/page.py").run()
    # None would let Streamlit offer to clear it.
    assert page.selectbox[1].value == ""


def test_models_that_cannot_be_used_are_explained(tiny: Services, open_page: Open) -> None:
    page = open_page(tiny)
    assert page.selectbox[1].options == ["Default", "local:reader", "local:deep-reader"]
    assert "<b>openai:gpt-5-mini, openai:gpt-5</b><br>OPENAI_API_KEY is not set" in html(page)


def test_an_application_without_experts_says_what_to_do(tmp_path: Path, own_experts: object, open_page: Open) -> None:
    from core.settings import Settings

    (tmp_path / "none").mkdir()
    page = open_page(Services(Settings(home=tmp_path / "home", experts_dir=tmp_path / "none")))
    assert "Make one: switchyard expert new NAME --docs PATH" in html(page)
    assert "Try again" in labels(page)
