import io

import pytest

from store.engine import engine
from store.runs import threads
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
        "No command is called '/dance'. Known: /new, /expert NAME, /quit.",
        "Expected a question of at most 8,000 characters; got 9,000. Shorten it, or put it into an expert's corpus.",
        "Asking bees only.",
    ]
    assert "never" not in result.out


def test_an_unknown_expert_or_model_is_told_at_once(chat):
    assert chat(arguments=["--expert", "cats"]).status == 2
    assert chat(arguments=["--model", "cats"]).err.startswith("Error: Model 'cats': expected provider:name")


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
    view.take({"type": "token", "data": "Honey is sweet."})
    assert (view.rendered().plain, view.rendered().style) == ("Honey is sweet.", "")
