"""An answer and a conversation, to take along."""

from store.runs import Run
from ui.transcript import answer_markdown, conversation_json, conversation_markdown

CITED = {"title": "B & *B*", "source": "A book", "quote": "Two minutes.", "passage_id": "b", "score": 1.0}
ANSWER = {
    "answer": "Two minutes. [1] ![x](http://y)",
    "outcome": "answered",
    "expert": "tea",
    "citations": [{"n": 1, **CITED}],
    "run_id": "r",
}
TURNS = [
    Run("r", "t", 0.0, None, "How long\nis it?", ANSWER),
    Run(
        "s", "t", 60.0, None, "And <b>this</b>?", {**ANSWER, "answer": "Not mine.", "outcome": "declined", "expert": None, "citations": []}
    ),
]
CONVERSATION = """# How long is it?

1970-01-01 00:00 UTC, 2 turns

---

> How long
> is it?

**Tea**

Two minutes. [1] ! [x] (http://y)

**Sources**

- [1] **B \\& \\*B\\*** (A book): “Two minutes.”

---

> And < b>this< /b>?

**No expert asked**

Not mine.
"""


def test_an_answer_keeps_its_sources_and_nothing_in_it_is_alive() -> None:
    assert answer_markdown(ANSWER) == "Two minutes. [1] ! [x] (http://y)\n\n**Sources**\n\n- [1] **B \\& \\*B\\*** (A book): “Two minutes.”"


def test_a_conversation_reads_as_one_page() -> None:
    assert conversation_markdown(TURNS, {"tea": "Tea"}) == CONVERSATION


def test_its_json_holds_all_that_is_stored() -> None:
    assert conversation_json(TURNS[:1]) == {"id": "t", "turns": [{"question": "How long\nis it?", "created_at": 0.0, "switchyard": ANSWER}]}
