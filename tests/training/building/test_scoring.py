from __future__ import annotations

import pytest

from core.types import Hit, Passage
from training.building.instructions import Instruction
from training.building.scoring import Scores, measure, numeric, rouge_l


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("the cat sat on the mat", "the cat is on the mat", 10 / 12),
        ("police kill the gunman", "police killed the gunman", 6 / 8),
        ("gunman the kill police", "police killed the gunman", 2 / 8),
        ("Tea!", "tea", 1.0),
        ("", "tea", 0.0),
        ("a b c d e f g", "g f e d c b a", 2 / 14),
    ],
)
def test_rouge_l_is_the_longest_common_subsequence(answer, reference, value):
    assert rouge_l(answer, reference) == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "references", "value"),
    [
        ("2 boxes of 6 make 12.", ["12"], 1.0),
        ("It costs $1,234.50 in all", ["1234.5"], 1.0),
        ("12, or 13", ["12"], 0.0),
        ("no number at all", ["12"], 0.0),
        ("-3", ["3"], 0.0),
        ("about 5 %", ["5%"], 1.0),
        ("So 18", ["9 + 9 = <<9+9=18>>18\n#### 18"], 1.0),
        ("either 1 or 2", ["1", "2"], 1.0),
        ("12", ["twelve"], None),
        ("12", ["12", "a dozen"], None),
        ("12", [], None),
    ],
)
def test_the_last_number_counts(answer, references, value):
    assert numeric(answer, references) == value


def test_what_applies_is_measured():
    hit = Hit(Passage("1", "Tea", "Green tea steeps for two minutes.", ""), 0.0, 0.0)
    both = measure(Instruction("1", "How long?", ("two minutes",), (hit,)), "Two minutes [1]")
    assert both == Scores(exact_match=1.0, f1=1.0, rouge_l=1.0, groundedness=1.0)
    assert measure(Instruction("1", "How long?"), "Two minutes", judged=0.5) == Scores(judge=0.5)
    assert measure(Instruction("1", "How many?", ("2",)), "Perhaps 3", judged=0.9).numeric == 0.0


@pytest.mark.parametrize(
    ("scores", "value"),
    [
        (Scores(numeric=0.0, judge=1.0, f1=0.5), 0.0),
        (Scores(judge=0.7, f1=0.5, groundedness=0.1), 0.7),
        (Scores(exact_match=0.0, f1=0.5, groundedness=0.1), 0.5),
        (Scores(groundedness=0.1), 0.1),
        (Scores(), None),
    ],
)
def test_the_one_score_is_the_first_that_applies(scores, value):
    assert scores.score == value


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("It is \u22125.", "-5"),
        ("It is \u20135.", "-5"),
        ("-5", "\u22125"),
        ("-$5", "-5"),
        ("\u2212\u20ac1,000.50", "-$1000.5"),
        ("$-5", "-5"),
        ("in all 1\u202f234\u202f567", "1234567"),
        ("in all 1\u2009234.5", "1\u00a0234.5"),
        ("5\u00a0\u20ac", "5\u00a0\u20ac"),
        ("an F-16", "16"),
        ("10-20", "20"),
        ("10\u201320", "20"),
        ("10%-20%", "20"),
        ("f(2)-4", "4"),
        ("in 2024\u00a01234", "1234"),
        ("2e\u22123", "0.002"),
    ],
)
def test_signs_and_spaces_of_numbers(answer, right):
    assert numeric(answer, [right]) == 1.0
    assert numeric(answer, ["987"]) == 0.0
