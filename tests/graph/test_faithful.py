"""Numbers and denials, compared with what the passages say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.faithful import faithful

CYCLE = "Sleep cycles. A cycle lasts about 90 minutes, and a night holds four to six. Alcohol suppresses REM sleep."
MODEL_T = "The Ford Model T\nHenry Ford introduced the Model T on 1 October 1908 for $850. By 1927 fifteen million were made."
TYRES = "Tyres. In the UK the least tread is 1.6 mm. Do not drive on a tyre with a bulge. The first check is the fourth column."


@pytest.mark.parametrize(
    "claim",
    [
        "One cycle takes ninety minutes.",
        "There are 4 to 6 cycles in a night.",
        "1. A cycle lasts 90 minutes",
        "2)",
        "It came in 1908 and cost 850 dollars.",
        "15 million were made, and 15,000,000 is a lot.",
        "At least 1.6mm of tread is needed.",
        "Look at the 4th column.",
        "No, a cycle lasts about 90 minutes.",
        "One of them is stage N3, with 5 or 6 cycles",
        "Never drive on a tyre with a bulge.",
    ],
)
def test_the_same_in_other_words(claim: str) -> None:
    assert faithful(claim, [CYCLE, MODEL_T, TYRES], "Are there 5?")


@pytest.mark.parametrize(
    "claim",
    [
        "Sleep cycles last 12 minutes.",
        "A cycle lasts ninety-five minutes.",
        "The Model T came in 1938.",
        "The Model T was not introduced in 1908.",
        "Alcohol doesn't suppress REM sleep.",
        "Drive on a tyre with a bulge.",
        "1,500,000 were made.",
        "At least 16 mm of tread is needed.",
    ],
)
def test_something_else(claim: str) -> None:
    assert not faithful(claim, [CYCLE, MODEL_T, TYRES])


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("25", "twenty-five"),
        ("101", "one hundred and one"),
        ("250000", "two hundred and fifty thousand"),
        ("10,500", "ten thousand five hundred"),
        ("1.5 million", "1,500,000"),
        ("12", "a dozen"),
        ("1900", "In 1900 two brothers"),
    ],
)
def test_digits_and_words_are_one_number(digits: str, said: str) -> None:
    assert faithful(f"It is {digits}.", [f"It may be {said}."])
    assert not faithful(f"It is {digits}.", ["It may be 777."])


@given(st.text())
def test_whatever_stands_in_the_passage_is_faithful(text: str) -> None:
    assert faithful(text, [text])
