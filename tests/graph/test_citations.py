"""Markers, quotes and support."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Hit, Passage
from graph.citations import LiveMarks, Renumber, best_quote, cite, claims, mark, support, unsupported

IDS = ["p1", "p2", "p3"]
TEXTS = [
    "Green tea steeps for two minutes. Black tea steeps for four minutes.",
    "The queen lays up to two thousand eggs a day. Workers clean cells.",
    "Honey keeps for years because it is too dry for microbes.",
]
HITS = [Hit(Passage(i, f"Title {i}", text, f"source of {i}"), 1.0, 0.5) for i, text in zip(IDS, TEXTS, strict=True)]
NOISE = st.text(st.sampled_from("[]0123456789,; .\naB"), max_size=60)
MARKED = st.lists(
    st.sampled_from(["[1]", "[2]", " [3, 1]", "[1][1]", " [9]", "[a]", "[2020]", " ", "word", ".", "\n", "[", "]", "[1;2"])
).map("".join)


@given(NOISE | MARKED, st.data())
def test_any_split_gives_the_same_as_the_whole(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    streaming = Renumber()
    streamed = "".join(streaming.feed(piece, IDS) for piece in pieces) + streaming.flush()
    whole = Renumber()
    assert streamed == whole.whole(text, IDS)
    assert streaming.numbers == whole.numbers


@given(NOISE | MARKED)
def test_a_text_without_markers_comes_through_unchanged(text: str) -> None:
    plain = text.replace("]", ")")
    assert Renumber().whole(plain, IDS) == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A [3]. B [1]. C [3].", "A [1]. B [2]. C [1]."),
        ("A [2, 3].", "A [1][2]."),
        ("A [3;2].", "A [1][2]."),
        ("A [1][1].", "A [1][1]."),
        ("A [2,2].", "A [1]."),
        ("A [9]. B [2].", "A. B [1]."),
        ("A [9, 2].", "A [1]."),
        ("A [0].", "A."),
        ("see [a] and [sic]", "see [a] and [sic]"),
        ("in [2020] it was", "in [2020] it was"),
        ("A [1234]. B [2].", "A [1234]. B [1]."),
        ("A [0001], [20240] and [2, 1908].", "A [0001], [20240] and [2, 1908]."),
        ("[1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]", "[1][2][3]"),
        ("list[", "list["),
        ("x [12", "x [12"),
    ],
)
def test_numbers_follow_the_order_of_appearance(text: str, expected: str) -> None:
    assert Renumber().whole(text, IDS) == expected


@pytest.mark.parametrize("year", ["[1908]", "[1234]", "[0001]", "[20240]", "[1, 2024]"])
def test_a_number_of_four_digits_is_a_year_and_no_marker(year: str) -> None:
    said = f"Green tea steeps for two minutes, says {year}."
    assert mark(f"{said} [1]", HITS, year) == f"{said} [1]"
    assert mark(said, HITS, year) == f"{said} [1]"
    assert [(c.n, c.passage_id) for c in cite(f"{said} [1]", HITS, year)] == [(1, "p1")]
    assert cite(said, HITS, year) == []


def test_numbers_go_on_over_several_drafts() -> None:
    numbers = Renumber()
    assert numbers.whole("A [2].", ["p1", "p2"]) == "A [1]."
    assert numbers.whole("B [1]. C [2].", ["q1", "p2"]) == "B [2]. C [1]."
    assert numbers.numbers == {"p2": 1, "q1": 2}


def test_claims_are_sentences_with_the_passages_they_cite() -> None:
    assert claims("Bees dance [2]. Tea steeps [1, 3][2]. No source here.") == [
        ("Bees dance", [2]),
        ("Tea steeps", [1, 3, 2]),
        ("No source here.", []),
    ]


def test_a_marker_before_its_sentence_belongs_to_that_sentence() -> None:
    assert claims("[2] Workers clean cells.") == [("Workers clean cells.", [2])]


def test_citations_quote_the_passage_word_for_word() -> None:
    found = cite("A queen lays two thousand eggs [2]. Black tea takes four minutes [1].", HITS)
    assert [(c.n, c.passage_id, c.title, c.source, c.quote) for c in found] == [
        (2, "p2", "Title p2", "source of p2", "The queen lays up to two thousand eggs a day."),
        (1, "p1", "Title p1", "source of p1", "Black tea steeps for four minutes."),
    ]
    assert found[0].score == 1.0
    assert found[1].score == 0.8  # "takes" does not stand in the passage


@given(
    st.lists(
        st.sampled_from(["queen", "eggs", "tea", "steeps", "minutes", "honey", "dry", "moon", "[1]", "[2]", "[3]", "[7]", ".", "?"]),
        max_size=30,
    ).map(" ".join)
)
def test_every_quote_stands_in_its_passage(text: str) -> None:
    for citation in cite(text, HITS):
        assert citation.quote in TEXTS[citation.n - 1]
        assert 0 <= citation.score <= 1


def test_a_claim_that_the_passage_does_not_hold_is_no_citation() -> None:
    text = "Volcanoes erupt lava [3]. Honey keeps for years [3]. Bees dance [2]."
    found = cite(text, HITS)
    assert [(c.n, c.score) for c in found] == [(3, 1.0)]
    assert unsupported(text, HITS)
    assert unsupported("Honey keeps for years [3]. Volcanoes erupt lava [3].", HITS)
    assert not unsupported("Honey keeps for years [3][9].", HITS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Honey keeps for years [3].", "Honey keeps for years [3]."),
        ("Honey keeps for years [1].", "Honey keeps for years [3]."),
        ("Honey keeps for years. [9]", "Honey keeps for years. [3]"),
        ("Honey keeps for years [1, 3].", "Honey keeps for years [3]."),
        ("Volcanoes erupt lava [1]. The queen lays eggs [2].", "Volcanoes erupt lava. The queen lays eggs [2]."),
        ("[1] The queen lays eggs.", "[2] The queen lays eggs."),
        (
            "The queen lays eggs [2] and steeped tea takes two minutes [2].",
            "The queen lays eggs [2] and steeped tea takes two minutes [1].",
        ),
    ],
)
def test_a_marker_without_support_is_pointed_to_what_supports_it_or_dropped(text: str, expected: str) -> None:
    assert mark(text, HITS) == expected


SAID = st.lists(
    st.sampled_from(
        [
            "Green tea steeps for two minutes.",
            "The queen lays eggs!",
            "Volcanoes erupt.",
            '"Honey keeps for years."',
            " ",
            "\n\n",
            " (A",
            "[1]",
            "[",
            " It",
        ]
    ),
    max_size=10,
).map("".join)


@given(SAID, st.data())
def test_a_streamed_text_gets_the_markers_of_the_whole_and_nothing_else(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    live, whole = LiveMarks(HITS), LiveMarks(HITS)
    streamed = "".join(live.feed(text[a:b]) for a, b in pairwise([0, *cuts, len(text)])) + live.flush()
    assert streamed == live.text
    if "[1]" not in text:
        assert streamed == whole.feed(text) + whole.flush()
        assert re.sub(r" \[\d\]", "", streamed) == text


def test_markers_are_added_to_a_stream_until_it_has_its_own() -> None:
    live = LiveMarks(HITS)
    pieces = ["Green tea steeps for", " two minutes.", " Volcanoes erupt. The queen", " lays eggs [2]. Honey keeps for years."]
    assert [live.feed(piece) for piece in pieces] == [
        "Green tea steeps for",
        " two minutes.",
        " [1] Volcanoes erupt. The queen",
        " lays eggs [2]. Honey keeps for years.",
    ]
    assert live.flush() == ""


def test_a_marker_without_a_passage_is_no_citation() -> None:
    assert cite("Bees dance [4]. Tea [0].", HITS) == []


def test_the_best_quote_of_no_text_is_empty() -> None:
    assert best_quote("Bees dance.", "") == ("", 0.0)


def test_markers_are_added_behind_supported_sentences_only() -> None:
    text = "Black tea steeps for four minutes. Volcanoes erupt. Honey keeps for years!"
    assert mark(text, HITS) == "Black tea steeps for four minutes. [1] Volcanoes erupt. Honey keeps for years! [3]"


def test_a_sentence_within_another_is_marked_in_its_own_place() -> None:
    text = "He said: Honey keeps for years. Honey keeps for years."
    assert mark(text, HITS) == "He said: Honey keeps for years. [3] Honey keeps for years. [3]"


def test_a_marked_draft_is_left_as_it_is() -> None:
    assert mark("Honey keeps for years. Tea [1].", HITS) == "Honey keeps for years. Tea [1]."


def test_marking_changes_nothing_but_adds_markers() -> None:
    text = "Black tea steeps for four minutes.\n\n- Honey keeps for years.\n"
    assert mark(text, HITS) == "Black tea steeps for four minutes. [1]\n\n- Honey keeps for years. [3]\n"


def test_support_is_the_share_of_words_that_the_cited_passages_hold() -> None:
    assert support("Honey keeps for years [3].", HITS) == 1.0
    assert support("Honey keeps for years [1].", HITS) == 0.0
    assert support("Honey keeps for years.", HITS) == 1.0
    assert support("Honey keeps for years [3]. Volcanoes erupt [3].", HITS) == 0.5
    assert support("Honey keeps.", []) == 0.0
    assert support("", HITS) == 0.0


@pytest.mark.parametrize("said", ["Black tea steeps for nine minutes.", "Black tea does not steep for four minutes."])
def test_what_a_passage_does_not_say_is_neither_cited_nor_supported(said: str) -> None:
    assert mark(f"{said} [1]", HITS) == said
    assert mark(said, HITS) == said
    assert cite(f"{said} [1]", HITS) == []
    assert support(f"{said} [1] Honey keeps for years. [3]", HITS) == 0.5


def test_numbers_may_stand_in_any_of_the_passages_that_a_sentence_cites_and_in_the_question() -> None:
    said = "Black tea steeps for four minutes, and a queen lays two thousand eggs"
    assert [c.n for c in cite(f"{said} [1][2].", HITS)] == [1, 2]
    assert support("Black tea steeps for four minutes at 95 degrees [1].", HITS, "For how long at 95 degrees?") == pytest.approx(5 / 7)
