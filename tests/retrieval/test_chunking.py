"""Passages: nothing lost, sentences whole, never across headings, ids that survive edits elsewhere."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.chunking import MAX_WORDS, chunk
from retrieval.loaders import Document
from retrieval.text import sentences

WORDS = ["tea", "bees", "Honey", "3.5", "Dr.", "a.m.", "(see", "below)", "“quoted”", "#tag", "[1]", "naïve"]
sentence = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(lambda w: "The " + " ".join(w) + " end.")
paragraph = st.lists(sentence, min_size=1, max_size=12).map(" ".join)
body = st.lists(paragraph, min_size=1, max_size=3).map("\n\n".join)
section = st.tuples(st.sampled_from(["# One", "## Two", "### Three ###"]), body).map("\n\n".join)
prose = st.tuples(body, st.lists(section, max_size=3)).map(lambda parts: "\n\n".join([parts[0], *parts[1]]))


def document(text, **changes):
    return Document(**{"id": "doc", "title": "Doc", "text": text, "source": "a book", **changes})


def plain(text):
    return " ".join(line for line in text.split("\n") if not re.match(r"#{1,6}\s", line)).split()


@given(prose)
def test_no_text_is_lost_and_none_is_added(text):
    assert " ".join(p.text for p in chunk([document(text)])).split() == plain(text)


@given(prose)
def test_passages_are_whole_sentences_of_at_most_max_words(text):
    known = {" ".join(s.split()) for line in text.split("\n") for s in sentences(line)}
    for passage in chunk([document(text)]):
        assert len(passage.text.split()) <= MAX_WORDS
        assert {" ".join(s.split()) for s in sentences(passage.text)} <= known


@given(prose)
def test_ids_differ(text):
    ids = [p.id for p in chunk([document(text)])]
    assert sorted(set(ids)) == sorted(ids)
    assert all(re.fullmatch(r"doc#[0-9a-f]{8}(-\d+)?", i) for i in ids)


@given(body, body, body)
def test_an_edit_in_one_section_leaves_the_ids_of_the_others(first, second, changed):
    def ids(one: str, two: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for p in chunk([document(f"## A\n{one} first.\n## B\n{two} second.")]):
            found.setdefault(p.title, []).append(p.id)
        return found

    before, after = ids(first, second), ids(changed, second)
    assert before["Doc: B"] == after["Doc: B"]


def test_a_passage_never_crosses_a_heading():
    text = "Before all.\n# Water\nHot.\n\nHotter.\n## Time ##\nLong.\n###### Deep\nDeeper."
    assert [(p.title, p.text) for p in chunk([document(text)])] == [
        ("Doc", "Before all."),
        ("Doc: Water", "Hot. Hotter."),
        ("Doc: Time", "Long."),
        ("Doc: Deep", "Deeper."),
    ]


def test_a_heading_like_the_title_is_not_said_twice():
    assert chunk([document("# Doc\nText.")])[0].title == "Doc"


def test_what_is_no_heading():
    text = "#tag is no heading\n####### nor are seven\n\nC# and F# are languages."
    assert [(p.title, p.text) for p in chunk([document(text)])] == [("Doc", " ".join(text.split()))]


def test_a_section_is_divided_evenly():
    text = " ".join(f"Sentence {n} has exactly six words." for n in range(23))
    assert [len(p.text.split()) for p in chunk([document(text)])] == [72, 66]


def test_a_sentence_that_is_too_long_is_cut_at_words():
    words = [f"w{n}" for n in range(2 * MAX_WORDS + 5)]
    assert " ".join(p.text for p in chunk([document(" ".join(words))])).split() == words
    assert max(len(p.text.split()) for p in chunk([document(" ".join(words))])) == MAX_WORDS


def test_max_words_can_be_chosen():
    assert [p.text for p in chunk([document("One two. Three four.")], max_words=2)] == ["One two.", "Three four."]


def test_a_whole_document_stays_one_passage_under_its_own_id():
    text = "# Not a heading\n" + "word " * 300
    [passage] = chunk([document(text, id="d7", title="", whole=True)])
    assert (passage.id, passage.title, passage.text, passage.source, passage.document) == ("d7", "", text.strip(), "a book", "d7")


def test_the_same_paragraph_in_a_hundred_sections_has_a_hundred_ids():
    passages = chunk([document("\n".join(f"## S{n}\nSee the manual." for n in range(100)))])
    ids = [p.id for p in passages]
    assert len(set(ids)) == 100
    assert [i.removeprefix(ids[0]) for i in ids[:3]] == ["", "-2", "-3"]


@pytest.mark.parametrize("text", ["", "\n \n", "# Only a heading\n", "## A\n## B\n\n"])
def test_a_document_without_text_has_no_passages(text):
    assert chunk([document(text)]) == []


def test_line_ends_of_windows():
    assert [(p.title, p.text) for p in chunk([document("# A\r\nOne.\r\ntwo.\r\n\r\n# B\r\nThree.\r\n")])] == [
        ("Doc: A", "One. two."),
        ("Doc: B", "Three."),
    ]


def test_code_between_fences_has_no_headings_and_is_no_part_of_a_sentence():
    text = (
        "# Set-up\nRun this:\n```sh\n# install it\nmake  install\n\nmake test\n```\nThen wait.\nIt takes long.\n"
        "## Next\n~~~\n## no heading\n~~~"
    )
    assert [(p.title, p.text) for p in chunk([document(text)])] == [
        ("Doc: Set-up", "Run this:\n# install it\nmake install\nmake test\nThen wait. It takes long."),
        ("Doc: Next", "## no heading"),
    ]


def test_items_and_rows_are_sentences_of_their_own():
    text = (
        "You need\n- tea\n* a pot that\n  holds a litre\n3) water\n\nThen read on, it was in\n1908. No item begins there.\n"
        "1. Boil it\n2. Pour it. Wait.\n| Tea | Time |\n|:---|---:|\n| green | 2 |\nThat is all.\n- - -"
    )
    [passage] = chunk([document(text)])
    assert sentences(passage.text) == [
        "You need",
        "- tea",
        "* a pot that holds a litre",
        "3) water",
        "Then read on, it was in 1908.",
        "No item begins there.",
        "1. Boil it",
        "2. Pour it.",
        "Wait.",
        "| Tea | Time |",
        "| green | 2 |",
        "That is all.",
        "- - -",
    ]


def test_japanese_is_cut_at_sentences_without_added_spaces():
    said = "緑茶は八十度のお湯で二分間蒸らすとおいしい。"
    passages = chunk([document(said * 100)])
    assert "".join(p.text for p in passages) == said * 100
    assert {len(p.text) % len(said) for p in passages} == {0}
    assert 400 < min(len(p.text) for p in passages) <= max(len(p.text) for p in passages) <= 910
    assert chunk([document("緑茶は\n熱い。\nTea is\nhot.\n\n次。")])[0].text == "緑茶は熱い。 Tea is hot. 次。"


@pytest.mark.parametrize("letter", ["茶", "ช", "x"])
def test_what_has_no_spaces_is_cut_at_characters(letter):
    passages = chunk([document(f"Long: {letter * 5_000} end.")])
    assert "".join(p.text for p in passages).replace(" ", "") == f"Long:{letter * 5_000}end."
    assert max(len(p.text) for p in passages) <= 7 * MAX_WORDS


def test_a_few_such_characters_count_as_one_word():
    text = " ".join(["The character 車 means car."] * 26)
    assert [len(p.text.split()) for p in chunk([document(text)])] == [130]
