"""The pieces of the page that are plain functions: safe text, numbers, and what stands around an answer."""

import re
from typing import Any
from urllib.parse import unquote

import pytest
from streamlit.testing.v1 import AppTest

from graph.confidence import AFTER, Logistic
from ui.chat import figures, markup, text

ANSWER: dict[str, Any] = {
    "answer": "**Call!**\n\nTwo minutes. [1]",
    "expert": "tea",
    "route": {"scores": {"out_of_scope": 0.7, "tea": 0.2, "bees": 0.1}, "nearest": [{"text": "<b>hot", "label": "tea", "similarity": 0.5}]},
    "citations": [
        {"n": 2, "passage_id": "b", "title": "B & B", "source": "", "quote": "Not there.", "score": 1.0},
        {"n": 1, "passage_id": "a", "title": "<i>A</i>", "source": "A book", "quote": "Steep it for two minutes.", "score": 1.0},
    ],
    "passages": [{"id": "a", "text": "Boil.\nSteep it\nfor two minutes. <script>"}, {"id": "b", "text": "Else."}],
    "confidence": 0.905,
    "confidence_parts": {"support": 1.0, "new_signal": -0.5},
    "outcome": "escalated",
    "escalation": {"from": "local:reader", "to": "openai:gpt-5", "reason": "the passages do not answer"},
    "notices": [{"kind": "safety", "text": "Call!"}, {"kind": "model", "text": "No <b>sources</b>."}],
    "models": [
        {"model": "openai:gpt-5", "tier": "superior", "input_tokens": 1000, "output_tokens": 20, "cost_usd": None, "latency_ms": 1500}
    ],
    "cost_usd": None,
    "cost_always_superior_usd": 0.5,
    "latency_ms": 2345.0,
    "run_id": "0123456789abcdef",
}
TITLES = {"tea": "Tea", "bees": "Bees"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("![a](http://x/y.png)", "[image: a](http://x/y.png)"),
        ("![a][r]\n\n[r]: http://x", "! [a][r]\n\n[r]: http://x"),
        ("`![a](http://x)`", "`[image: a](http://x)`"),
        ("from $850 to $260", r"from \$850 to \$260"),
        ("`$x` <b>", "`$x` &lt;b>"),
        ("So it is![1] And [2].", "So it is!\u00a0[1](#s-1) And [2]."),
        ("In 1916. [1] So [1].", "In 1916.\u00a0[1](#s-1) So\u00a0[1](#s-1)."),
        ("Two:\n- [1]\n1. [1]\n [1]", "Two:\n- [1](#s-1)\n1. [1](#s-1)\n [1](#s-1)"),
        ("[1](http://x)", "[1](#s-1)(http://x)"),
        ("[1]: http://x", "[1](#s-1): http://x"),
        (":red[hi] :material/home: `:x[y]` 9:30", ":\u2060red[hi] :\u2060material/home: `:x[y]` 9:30"),
        (":::note", ":::\u2060note"),
        ("```Mermaid\nA", "```text Mermaid\nA"),
        ("x\r~~~ &#109;ermaid\rA", "x\n~~~ text &#109;ermaid\nA"),
        ("```python\nprint('[1]')\n```", "```python\nprint('[1]')\n```"),
    ],
)
def test_a_models_markdown_is_made_safe(said: str, shown: str) -> None:
    assert text.markdown(said, {1}, "s") == shown


def test_quotes_are_marked_and_everything_is_escaped() -> None:
    passage = "One <b>fact</b>.\nTwo  facts. Three."
    assert text.highlighted(passage, ["Two facts."]) == "One &lt;b&gt;fact&lt;/b&gt;.\n<mark>Two  facts.</mark> Three."
    assert text.highlighted(passage, ["facts. Three.", "Two facts."]).endswith("<mark>Two  facts.</mark><mark> Three.</mark>")
    assert text.highlighted("a < b", ["not there", ""]) == "a &lt; b"


def test_a_label_is_one_line_shown_as_written() -> None:
    assert text.label("a *b*\n[c]") == r"a \*b\* \[c\]"
    assert text.label("abcdef", limit=4) == "abc…"


def test_every_signal_has_a_readable_name() -> None:
    assert set(AFTER) <= set(figures.SIGNALS)


@pytest.mark.parametrize(("share", "shown"), [(0, "0%"), (0.004, "< 1%"), (0.5, "50%"), (0.996, "> 99%"), (1, "100%")])
def test_a_share_is_certain_only_when_it_is(share: float, shown: str) -> None:
    assert figures.percent(share) == shown


def test_no_time_is_no_time_at_all() -> None:
    assert [figures.seconds(ms) for ms in (0, 49, 50, 2345)] == ["< 0.1 s", "< 0.1 s", "0.1 s", "2.3 s"]


def test_a_share_can_be_spoken() -> None:
    assert [figures.spoken(share) for share in (0.003, 0.905, 0.997)] == ["under 1%", "90%", "over 99%"]


@pytest.mark.parametrize(
    ("usd", "shown"), [(None, "price unknown"), (0, "free"), (0.00002, "< $0.0001"), (0.0123, "$0.0123"), (2.5, "$2.50")]
)
def test_money(usd: float | None, shown: str) -> None:
    assert figures.money(usd) == shown


@pytest.mark.parametrize(
    ("spent", "always", "said"),
    [
        (0.01, 0.04, "$0.0100, 75% less than $0.0400 with the superior model always."),
        (0.0, 0.0, "Free: only local models were asked."),
        (None, 0.04, "Price unknown; with the superior model always: $0.0400."),
        (0.05, 0.04, "$0.0500; with the superior model always: $0.0400."),
    ],
)
def test_the_saving_is_said_only_when_there_is_one(spent: float | None, always: float, said: str) -> None:
    assert figures.saving([{"cost_usd": spent, "cost_always_superior_usd": always}]) == said


def test_the_summary_names_expert_confidence_cost_and_time() -> None:
    words = markup.summary(ANSWER, TITLES).replace('<span class="sy-dot" aria-hidden="true"> · </span>', " · ")
    assert words == '<p class="sy-line"><b>Tea, superior model</b> · 90% confident · price unknown · 2.3 s</p>'
    assert "Tea: no answer found" in markup.summary({**ANSWER, "outcome": "unknown"}, TITLES)
    assert "Tea and gone" in markup.summary({**ANSWER, "outcome": "answered", "expert": ["tea", "gone"]}, TITLES)


def test_safety_stands_apart_from_other_notices_and_from_the_answer() -> None:
    assert markup.notices(ANSWER, safety=True) == '<div class="sy-safety" role="alert">Call!</div>'
    assert markup.notices(ANSWER, safety=False) == '<div class="sy-notice" role="note">No &lt;b&gt;sources&lt;/b&gt;.</div>'
    assert markup.body(ANSWER) == "Two minutes. [1]"


def test_what_is_copied_passes_the_browsers_cleaning_unharmed() -> None:
    said = 'a -->\n</script> "é"'
    [coded] = re.findall(r'data-text="([^"]*)"', markup.copy(said))
    assert unquote(coded) == said
    assert re.fullmatch(r"[\w%.~/-]+", coded)
    assert markup.opened('"><b>', asking=True) == '<div class="sy-opened" data-thread="&quot;&gt;&lt;b&gt;" data-asking="yes"></div>'


def test_sources_open_at_their_quote() -> None:
    first, second = markup.sources(ANSWER).split("<details")[1:]
    assert "&lt;i&gt;A&lt;/i&gt;" in first
    assert '<mark id="source-0123456789ab-1">Steep it\nfor two minutes.</mark> &lt;script&gt;' in first
    assert "A book" in first
    # A quote that cannot be found: the link leads to the passage.
    assert 'class="sy-passage" id="source-0123456789ab-2" tabindex="0">Else.<' in second
    assert markup.sources({**ANSWER, "citations": []}) == ""


def test_of_passages_with_one_id_a_source_shows_the_one_that_holds_its_quote() -> None:
    passages = [{"id": "1", "title": "T", "text": text, "source": "s", "score": 1.0} for text in ("Steep it.", "Bees dance.")]
    cited = [{"n": n, "passage_id": "1", "title": "T", "source": "s", "quote": p["text"], "score": 1.0} for n, p in enumerate(passages, 1)]
    first, second = markup.sources({**ANSWER, "passages": passages, "citations": cited}).split("<details")[1:]
    assert '<mark id="source-0123456789ab-1">Steep it.</mark>' in first
    assert '<mark id="source-0123456789ab-2">Bees dance.</mark>' in second


def test_the_background_explains_route_confidence_escalation_and_cost() -> None:
    html = markup.background(ANSWER, TITLES, Logistic({"support": 1.0}, 0.0))
    order = [html.index(f'<div class="sy-name">{name}</div>') for name in ("Tea", "Bees", "Out of scope")]
    assert order == sorted(order)
    assert "&lt;b&gt;hot (Tea, cosine 0.50)" in html
    assert "Answer&#x27;s words found in its sources" in html
    assert 'New signal</div><div class="sy-track" aria-hidden="true"><span style="width:0.0%">' in html
    assert "From <code>local:reader</code> to <code>openai:gpt-5</code>: the passages do not answer." in html
    assert "1,020 tokens, price unknown. With the superior model at once: $0.5000." in html


@pytest.mark.parametrize(("intercept", "shown"), [(0.5, True), (-2.0, False)])
def test_the_background_explains_what_each_signal_adds_where_that_makes_the_confidence(intercept: float, shown: bool) -> None:
    # A confidence of 0.905 is 2.25 in log-odds.
    html = markup.background(ANSWER, TITLES, Logistic({"support": 1.5, "new_signal": -0.5}, intercept))
    assert ("these signals, with what each adds to the log-odds, from +0.5 on:" in html) is shown
    assert ("its sources (+1.5)</div>" in html, "New signal (+0.2)</div>" in html) == (shown, shown)


def _half_a_turn() -> None:
    import streamlit as st

    from ui.chat.turn import Screen

    Screen(st.empty(), {"tea": "Tea"}).play(st.session_state["events"])


def shown(*events: tuple[str, Any]) -> AppTest:
    """The page after these events of a turn."""
    page = AppTest.from_function(_half_a_turn)
    page.session_state["events"] = [{"type": kind, "data": data} for kind, data in events]
    return page.run()


def test_a_draft_is_shown_as_it_comes_and_replaced_by_the_answer() -> None:
    route = ("route", {"expert": "tea"})
    assert "Tea: reading 2 passages …" in shown(route, ("passages", [1, 2])).get("html")[0].proto.body
    page = shown(route, ("passages", [1, 2]), ("draft_token", "Per"))
    assert [element.value for element in page.markdown] == ["Per"]
    assert "Tea: answering …" in page.get("html")[0].proto.body
    page = shown(route, ("draft_token", "Per"), ("draft_rejected", {"reason": "the passages do not answer", "next": "superior"}))
    assert [element.value for element in page.markdown] == []
    assert "Not sure enough (the passages do not answer), asking the superior model" in page.get("html")[0].proto.body
    page = shown(route, ("draft_token", "Per"), ("draft_rejected", {"reason": "openai:weak did not finish", "next": "fallback"}))
    assert [element.value for element in page.markdown] == []
    assert "openai:weak did not finish, fell back to another model: answering" in page.get("html")[0].proto.body
    page = shown(route, ("draft_token", "Perhaps"), ("token", "Two minutes. [1]"))
    assert [element.value for element in page.markdown] == ["Two minutes.\u00a0[1](#source-pending-1)"]


def test_drafts_of_two_experts_are_not_mixed_up() -> None:
    page = shown(("route", {"expert": ["tea", "bees"]}), ("draft_token", "a"), ("draft_token", "b"))
    assert [element.value for element in page.markdown] == []
