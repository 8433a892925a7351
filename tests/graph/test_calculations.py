"""Calculations in prose are found, worked out again, and never run as code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.calculations import MOST, Calculation, calculations, numbers


@pytest.mark.parametrize(
    ("text", "operands", "value", "stated"),
    [
        ("So 16 - 3 = 13 eggs are left.", (16, 3), 13, 13),
        ("3 sprints x 60 metres = 180 metres.", (3, 60), 180, 180),
        ("40 miles \\* 2 = 80", (40, 2), 80, 80),
        ("1,200 ÷ 4 = 300", (1200, 4), 300, 300),
        ("25% of 60 = 15", (0.25, 60), 15, 15),
        ("2 * (3 + 4) = 14", (2, 3, 4), 14, 14),
        ("12 (a coat) + 5 (a hat) = 17", (12, 5), 17, 17),
        ("8 rooms * 2 lamps/room = 16", (8, 2), 16, 16),
        ("5 − 7 = -2", (5, 7), -2, -2),
        ("10 / 4 ≈ 2.5", (10, 4), 2.5, 2.5),
        ("7 + 5 = 13", (7, 5), 12, 13),
    ],
)
def test_a_statement_is_read_and_worked_out(text: str, operands: tuple[float, ...], value: float, stated: float) -> None:
    found = calculations(text)
    assert found == [Calculation(tuple(map(float, operands)), pytest.approx(value), stated)]  # type: ignore[arg-type]
    assert found[0].holds == (value == stated)


def test_a_chain_is_checked_link_by_link() -> None:
    assert [(c.value, c.stated) for c in calculations("4 * 5 = 20 + 1 = 21")] == [(20, 21), (21, 21)]
    assert [c.holds for c in calculations("4 * 5 = 18 + 2 = 20")] == [True, True]


def test_an_annotation_counts_beside_its_text() -> None:
    assert [c.stated for c in calculations("He has 9 * 2 = $<<9*2=18>>18 left.")] == [18, 18]


@pytest.mark.parametrize("text", ["", "= 4", "x = 4", "3 + (((", "1 / 0 = 3", "no numbers = none", "5 = 5", "2 + 2. = 4"])
def test_what_is_no_calculation_gives_none(text: str) -> None:
    assert calculations(text) == []


def test_numbers_are_read_with_separators_and_percentages() -> None:
    assert numbers("1,850 km, 3.5 h and 20%") == [1850, 3.5, 0.2]


def test_a_number_that_no_float_holds_is_none() -> None:
    huge = "9" * 400
    assert numbers(f"7 or {huge} or {huge}%, 8") == [7, 8]
    assert [c.stated for c in calculations(f"2 + {huge} = {huge}. 1 + {huge} = 3. 2 + 2 = 4")] == [4]


def test_a_long_text_comes_to_an_end() -> None:
    assert len(calculations("1 + 1 = 2. " * 5000)) == MOST
    assert len(numbers("7 " * 5000)) == MOST
    assert calculations("(" * 5000 + "1+1" + ")" * 5000 + "=2") == []


@given(st.text(alphabet="0123456789+-*/=()x×÷%., $<>abc\n", max_size=80))
def test_no_text_is_too_odd(text: str) -> None:
    for found in calculations(text):
        assert found.value == found.value
        assert found.operands
