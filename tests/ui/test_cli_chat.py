import io

import pytest

from graph.pictures import NO_EYES
from store.engine import engine
from store.runs import thread_runs, threads
from tests.pictures import picture
from ui.commands.chat import View


@pytest.fixture
def chat(switchyard, monkeypatch):
    def call(*lines, arguments=()):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return switchyard("chat", *arguments)

    return call


def test_a_conversation_keeps_its_thread_until_a_new_one_begins(chat, tiny_settings):
    result = chat("How long does green tea steep?", "and black tea?", "/new", "How much water does ripe honey hold?")
    assert result.status == 0
    assert "two minutes" in result.out
    assert "A new conversation." in result.err
    found = sorted((t.title, t.turns) for t in threads(engine(tiny_settings.database)))
    assert found == [("How long does green tea steep?", 2), ("How much water does ripe honey hold?", 1)]


def test_a_command_or_question_that_fails_does_not_end_the_chat(chat):
    result = chat("/expert cats", "/dance", "a" * 9_000, "", "/expert bees", "/quit", "never asked")
    assert result.status == 0
    assert result.err.splitlines() == [
        "No expert is called 'cats'. Known: bees, tea.",
        "No command is called '/dance'. Known: /new, /expert NAME, /image FILE, /review, /quit.",
        "Expected a question of at most 8,000 characters; got 9,000. Shorten it, or put it into an expert's corpus.",
        "Asking bees only.",
    ]
    assert "never" not in result.out


def test_a_picture_goes_with_the_next_question(chat, tiny_settings, tmp_path):
    (tmp_path / "pot.png").write_bytes(picture())
    question = "How long does green tea steep?"
    result = chat("/image none.png", f"/image {tmp_path / 'pot.png'}", question, question, f"/image {tmp_path / 'pot.png'}", "/image", "")
    assert "two minutes" in result.out
    waits = "picture for the next question; Enter alone asks about what is shown."
    assert result.err.splitlines() == [
        "Cannot read the picture none.png: No such file or directory. Name a picture's file.",
        f"1 {waits}",
        f"Note: {NO_EYES}",
        f"1 {waits}",
        "No picture for the next question.",
    ]


def test_an_unknown_expert_or_model_is_told_at_once(chat):
    assert chat(arguments=["--expert", "cats"]).status == 2
    assert chat(arguments=["--model", "cats"]).err.startswith("Error: Model 'cats': expected provider:name")


def test_a_history_that_cannot_be_kept_is_no_reason_not_to_talk(chat, tiny_settings):
    (tiny_settings.home / "chat_history").mkdir(parents=True)
    result = chat("/expert bees", "/quit")
    assert (result.status, result.err) == (0, "Asking bees only.\n")


def test_ctrl_c_leaves_cleanly(switchyard, monkeypatch):
    class Interrupted(io.StringIO):
        def readline(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Interrupted())
    result = switchyard("chat")
    assert (result.status, result.err) == (0, "")


def test_the_view_shows_drafts_dim_and_drops_rejected_ones():
    view = View()
    assert (view.rendered().plain, view.rendered().style) == ("Routing …", "dim")
    view.take({"type": "route", "data": {"expert": ["bees", "tea"]}})
    assert view.rendered().plain == "Reading bees and tea …"
    view.take({"type": "draft_token", "data": "Honey \x1b[31mis"})
    assert (view.rendered().plain, view.rendered().style) == ("Honey [31mis", "dim")
    view.take({"type": "draft_rejected", "data": {"reason": "low", "next": "superior"}})
    assert view.rendered().plain == "Asking the superior model …"
    view.take({"type": "draft_token", "data": "Honey"})
    view.take({"type": "draft_rejected", "data": {"reason": "fake:x did not finish", "next": "fallback"}})
    assert view.rendered().plain == "Asking another model …"
    view.take({"type": "token", "data": "Honey is sweet."})
    assert (view.rendered().plain, view.rendered().style) == ("Honey is sweet.", "")


def test_a_reviewed_route_is_accepted_changed_or_given_up(chat, tiny_settings):
    result = chat("How long does green tea steep?", "", "and black tea?", "bees", "and oolong?", "n", arguments=["--review"])
    assert result.status == 0
    assert "two minutes" in result.out
    assert "Nobody was asked, as you decided." in result.out
    assert "How long does black tea steep?\nRoute: tea (tea " in result.err
    runs = thread_runs(engine(tiny_settings.database), threads(engine(tiny_settings.database))[0].thread_id)
    assert [run.answer["expert"] for run in runs] == ["tea", "bees", None]


def test_another_question_in_the_place_of_a_choice_is_asked(chat, tiny_settings):
    result = chat("How long does green tea steep?", "maybe", "How much water does ripe honey hold?", "y", arguments=["--review"])
    assert "Expected Enter, one of accept, bees, tea, decline, or another question." in result.err
    runs = thread_runs(engine(tiny_settings.database), threads(engine(tiny_settings.database))[0].thread_id)
    assert [(run.question, run.answer["expert"]) for run in runs] == [("How much water does ripe honey hold?", "bees")]


def test_review_is_turned_on_and_off(chat):
    result = chat("/review", "/review")
    assert result.err.splitlines() == ["Routes are shown first.", "Routes are taken as they come."]
