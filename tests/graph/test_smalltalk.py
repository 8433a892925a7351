"""What asks nothing gets a friendly word, and does not become the topic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.types import Outcome
from graph.nodes.route import find_route
from graph.smalltalk import small_talk
from llms.fake import ScriptedModel
from tests.graph.conftest import GOOD, Table

Make = Callable[..., Table]
OFFER = "\n\nI can help with:\n- **Bees**: "

KINDS = {
    "greeting": ["hi", "Hello!", "hey there", "Good morning", "hi, how are you?", "How's it going?", "hellooo", "😀", "👋🏽", "❤️"],
    "thanks": [
        "thanks",
        "Thank you so much!",
        "ok thanks, bye",
        "Great, thank you very much for your help.",
        "cheers",
        "That's helpful, thanks",
    ],
    "about": ["who are you?", "What can you do?", "Hi! What can I ask you?", "hello, are you a bot?", "What's your name?"],
}
QUESTIONS = [
    "hi, how long does green tea steep?",
    "thanks, and how long is a sleep cycle?",
    "Is it good to sleep in the morning?",
    "how are you supposed to change a tyre",
    "good night's sleep",
    "what can you do about snoring?",
    "help me fall asleep",
    "ok so why do we dream",
    "who are the sleep researchers",
    "how do you work a clutch",
    "?!…",
    "hello kitty",
    "nice cars",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KINDS.items() for text in texts])
def test_small_talk_is_known_whole(kind: str, text: str) -> None:
    assert small_talk(text) == kind


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_question_is_no_small_talk(text: str) -> None:
    assert small_talk(text) is None


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("hi", "Hello! Ask me something"),
        ("🙂", "Hello! Ask me something"),
        ("thanks", "You are welcome."),
        ("who are you?", "I am Switchyard."),
    ],
)
@pytest.mark.parametrize("expert", ["auto", "tea"])
def test_small_talk_is_answered_at_no_cost(table: Make, text: str, opening: str, expert: str) -> None:
    general = ScriptedModel(replies=[])
    answer = table([], models={"fake:general": general}, general="fake:general").ask(text, expert=expert)
    assert (answer.outcome, answer.expert, answer.models, answer.cost_usd) == (Outcome.DECLINED, None, [], 0.0)
    assert answer.answer.startswith(opening)
    assert OFFER in answer.answer
    assert "outside" not in answer.answer


def test_a_dry_run_says_the_same(table: Make) -> None:
    found = find_route(table([]).services, "hello")
    assert (found.expert, found.out_of_scope) == (None, True)


def test_a_follow_up_after_thanks_keeps_its_topic(table: Make) -> None:
    t = table([GOOD, "How long does green tea steep in winter?", GOOD])
    t.ask(thread="t")
    t.ask("thanks!", thread="t")
    t.ask("and in winter?", thread="t")
    assert t.weak.history[2][-1].text.endswith("Question: How long does green tea steep in winter?")
