from __future__ import annotations

from dataclasses import replace

import pytest

from core.types import Passage
from retrieval.index import assemble
from tests.training.prepare.conftest import row
from training.prepare.findings import Finding
from training.prepare.places import Corpus, Place, locate, proposed_key

WATER = Passage("brewing#1", "Tea: Water", "Green tea is brewed at 80 degrees Celsius. Boiling water scalds it.", "", "brewing")
TIME = Passage("brewing#2", "Tea: Time", "Green tea steeps for two minutes. Black tea steeps for four minutes.", "", "brewing")
PLANT = Passage("plant#1", "The Plant", "All true tea comes from Camellia sinensis, in 80 kinds.", "", "plant")


@pytest.fixture
def corpus(minilm):
    passages = [WATER, TIME, PLANT]
    return Corpus(passages, lambda: assemble(passages, minilm), minilm)


@pytest.mark.parametrize(
    ("asked", "passage", "sentence", "how"),
    [
        (row("a:1", "How hot?", "At 80 degrees.", "80 degrees", "brewing"), WATER, "Green tea is brewed at 80 degrees Celsius.", "key"),
        (row("a:1", "How long?", "Four minutes.", "four minutes", "brewing"), TIME, "Black tea steeps for four minutes.", "key"),
        (row("a:1", "How long?", "two minutes", "", "brewing"), TIME, "Green tea steeps for two minutes.", "answer"),
        (row("a:1", "And boiling?", "It scalds when boiling.", "", "brewing"), WATER, "Boiling water scalds it.", "words"),
    ],
)
def test_an_answer_is_found_in_the_document_that_is_named(corpus, asked, passage, sentence, how):
    found, place, _ = locate(asked, corpus)
    assert place == Place(passage, sentence, how)
    assert found.document == "brewing"


@pytest.mark.parametrize("name", ["brewing", "brewing.md", "corpus/brewing.md", "brewing#2"])
def test_a_document_answers_to_its_path_and_its_passages(corpus, name):
    found, place, findings = locate(row("a:1", "How long?", "two minutes", "two", name), corpus)
    assert found.document == "brewing"
    assert [(f.kind, f.detail) for f in findings] == ([] if name == "brewing" else [("document", f"{name} became brewing")])
    assert place is not None
    assert place.passage == TIME


def test_of_all_that_is_found_the_first_that_says_it_word_for_word(minilm):
    like = Passage("brewing#3", "Tea", "How long does green tea steep? Minutes: two or so, says one. Green tea steeps long.", "", "other")
    found = Corpus([like, TIME], lambda: assemble([like, TIME], minilm), minilm)
    asked = row("a:1", "How long does green tea steep?", "two minutes")
    first = found.index.search(f"{asked.question} {asked.answer}", minilm.encode([f"{asked.question} {asked.answer}"])[0], 2)[0]
    assert first.passage == like, "it has all the words"
    assert locate(asked, found)[1] == Place(TIME, "Green tea steeps for two minutes.", "answer")
    assert locate(replace(asked, answer="minutes: two or so"), found)[1].how == "answer"
    alone = Corpus([like], lambda: assemble([like], minilm), minilm)
    assert locate(asked, alone)[1].how == "words"


def test_a_row_without_a_document_is_searched_for(corpus):
    asked = row("a:1", "Which plant does tea come from?", "From Camellia sinensis.")
    found, place, findings = locate(asked, corpus)
    assert found == replace(asked, document="plant", key="camellia sinensis")
    assert place == Place(PLANT, "All true tea comes from Camellia sinensis, in 80 kinds.", "answer")
    assert findings == [
        Finding("document", "a:1", asked.question, f'plant: "{PLANT.text}"'),
        Finding("key", "a:1", asked.question, 'camellia sinensis (from "From Camellia sinensis.")'),
    ]


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        (row("a:1", "Who won?", "Nobody.", "Nobody", "brewing"), "brewing does not hold the key 'Nobody'"),
        (
            row("a:1", "Which plant does tea come from?", "Camellia sinensis.", "", "brewing"),
            "brewing does not hold the answer; it seems to stand in plant",
        ),
        (
            row("a:1", "Which plant does tea come from?", "Camellia sinensis.", "Camellia", "shrubs"),
            "there is no document 'shrubs' to hold the key 'Camellia'; it seems to stand in plant",
        ),
        (row("a:1", "Who won?", "Nobody.", "", "."), "there is no document '.' to hold the answer"),
        # The number stands in the documents, but not as an answer to this.
        (row("a:1", "How many kinds of whales sing in winter?", "80", "80"), "no document was found that holds the answer"),
    ],
)
def test_what_is_not_found_is_said_and_nothing_is_changed(corpus, asked, detail):
    found, place, findings = locate(asked, corpus)
    assert (found, place) == (asked, None)
    assert findings == [Finding("not located", "a:1", asked.question, detail)]


@pytest.mark.parametrize(
    ("question", "answer", "key"),
    [
        ("How long does green tea steep?", "About two minutes.", "two minutes"),
        ("How long does black tea steep?", "Black tea steeps for four minutes.", "four minutes"),
        ("How long does it steep?", "Two minutes if green, and four minutes if black.", ""),
        ("How long does it steep?", "Three minutes.", ""),
        ("Does black tea steep for two minutes?", "No, four minutes.", ""),
        ("Does green tea steep?", "Green tea steeps.", ""),
    ],
)
def test_a_key_is_proposed_where_the_answer_adds_one_thing(question, answer, key):
    assert proposed_key(row("a:1", question, answer), TIME) == key


def test_several_answers_are_a_keys_alternatives():
    asked = replace(row("a:1", "How long?", "two minutes"), answers=("two minutes", "2 min", "for four minutes"))
    assert proposed_key(asked, TIME) == "two minutes|four minutes"


@pytest.mark.parametrize(
    ("asked", "kind", "detail"),
    [
        (row("a:1", "How long?", "Long.", "two minutes", "brewing"), "key not in answer", 'two minutes, and the answer is "Long."'),
        (row("a:1", "Are two minutes right?", "Two minutes are.", "two minutes", "brewing"), "key in question", "two minutes"),
        (row("a:1", "How hot?", "Yes, boiling water scalds it.", "", "brewing"), "no key", "what to look for in the answer is not plain"),
    ],
)
def test_keys_are_judged(corpus, asked, kind, detail):
    found, place, findings = locate(asked, corpus)
    assert (found, findings) == (asked, [Finding(kind, "a:1", asked.question, detail)])
    assert place is not None
    if asked.key:
        lost = replace(asked, document="lost")
        assert locate(lost, corpus)[2][1:] == findings, "wherever the answer stands"
