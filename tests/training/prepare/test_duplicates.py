from __future__ import annotations

import re

import pytest

from core.settings import ROOT
from evaluation.results import silent
from tests.training.prepare.conftest import row
from training.prepare.duplicates import Pair, alike, near_duplicates, without_duplicates
from training.prepare.findings import Finding


def test_one_row_stays_of_each_that_says_the_same():
    rows = [
        row("a:1", "How hot is tea?", "80 degrees."),
        row("a:2", "how hot is tea", "80 degrees", key="80", document="tea"),
        row("a:3", "How hot is tea?", "90 degrees."),
    ]
    kept, findings = without_duplicates(rows)
    assert kept == [row("a:1", "How hot is tea?", "80 degrees.", key="80", document="tea"), rows[2]]
    assert findings == [
        Finding("duplicate", "a:2", "how hot is tea", "the same question and answer; the other takes its key and document", "a:1")
    ]


def test_of_several_splits_the_one_held_out_stays():
    rows = [row(f"a:{n}", "How hot is tea?", "Hot.", split=split) for n, split in enumerate(["train", "", "test", "dev"])]
    kept, findings = without_duplicates(rows)
    assert kept == [rows[2]]
    assert [(f.kind, f.at, f.detail, f.other) for f in findings] == [
        ("leak", "a:3", "in dev, and in test the same question and answer", "a:2"),
        ("leak", "a:0", "in train, and in test the same question and answer", "a:2"),
        ("duplicate", "a:1", "the same question and answer", "a:2"),
    ]


def test_the_same_words_about_two_documents_are_two_rows():
    rows = [row("a:1", "How hot is it?", "Hot.", document="tea"), row("a:2", "How hot is it?", "Hot.", document="coffee")]
    assert without_duplicates(rows) == (rows, [])


def test_signs_are_no_words():
    rows = [row("a:1", "?", "!"), row("a:2", "??", "!")]
    assert without_duplicates(rows) == (rows, [])


@pytest.mark.parametrize(
    ("first", "second", "near"),
    [
        (("How hot should water for green tea be?", "80 degrees."), ("how hot should the water for green tea be", "Ninety."), True),
        (("How warm must it be for green tea?", "80 degrees."), ("What temperature suits green tea?", "Some 80 degrees."), True),
        (("How hot should water for green tea be?", "80 degrees."), ("How long does green tea steep?", "Two minutes."), False),
        (("How long does green tea steep?", "It takes two minutes."), ("How long does black tea steep?", "It takes 4 minutes."), False),
        (("How common is tea in hotels?", "In 4 of five."), ("How common is tea in inns?", "Perhaps in 4 of five."), True),
        (("Is green tea healthy to drink?", "Yes."), ("Is black tea healthy to drink?", "Yes."), False),
        (("What was tea called in 1650?", "Chaa."), ("What was tea called in 1660?", "Tee."), False),
        (("Why is older tea bitter?", "Tannin."), ("Why is old tea so bitter?", "It was stored damp."), True),
        (("What does theanine do?", "It calms."), ("Why do bees dance?", "To show the way."), False),
    ],
)  # fmt: skip
def test_near_duplicates_by_words_and_by_meaning(minilm, first, second, near):
    rows = [row("a:1", *first), row("a:2", *second)]
    found = near_duplicates(rows, minilm, silent)
    assert [(p.first, p.second) for p in found] == ([(0, 1)] if near else [])


def test_the_example_of_the_docs_is_found(minilm):
    text = " ".join((ROOT / "docs" / "own-data.md").read_text(encoding="utf-8").split())
    rows = [row("a:1", question, "Nils Bohlin.") for question in re.findall(r'"(Who [^"]+\?)"', text)]
    assert [(p.first, p.second, p.agree) for p in near_duplicates(rows, minilm, silent)] == [(0, 1, True)]


def test_every_pair_is_compared_block_by_block(encoder, monkeypatch):
    monkeypatch.setattr("training.prepare.duplicates._BLOCK", 7)
    rows = [row(f"a:{n}", f"What is the purpose of part {word}?", word) for n, word in enumerate(["oak", "elm", "oak", "ash", "elm"])]
    found = near_duplicates(rows, encoder, silent)
    assert [(p.first, p.second) for p in found if p.agree] == [(0, 2), (1, 4)]
    assert found[0].cosine == pytest.approx(1)


def test_a_contradiction_says_both_answers():
    rows = [row("a:1", "Is tea hot?", "Yes."), row("a:2", "is tea hot", "No."), row("a:3", "Is the tea hot?", "Yes.")]
    pairs = [Pair(0, 1, 1.0, False), Pair(0, 2, 0.97, True), Pair(1, 2, 0.98, False)]
    assert alike(rows, pairs) == [
        Finding("contradiction", "a:2", "is tea hot", '"No.", and there "Yes."', "a:1"),
        Finding("near-duplicate", "a:3", "Is the tea hot?", 'cosine 0.98: "is tea hot"', "a:2"),
    ]
