"""Signals of a response: what each of them reacts to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.response_signals import response_signals

PROMPT = "A crate holds 12 jars. How many jars do 5 crates hold, if 4 jars are broken?"
GOOD = "The crates hold 12 * 5 = 60 jars. Without the broken ones that is 60 - 4 = 56.\n#### 56"


def test_a_sound_calculation() -> None:
    found = response_signals(PROMPT, GOOD)
    expected = {
        "steps": math.log(3),
        "wrong_steps": 0.0,
        "any_wrong_step": 0.0,
        "unused_steps": 0.0,
        "foreign_numbers": 0.0,
        "prompt_numbers_unused": 0.0,
        "has_final": 1.0,
        "final_whole": 1.0,
        "final_calculated": 1.0,
        "final_is_last": 1.0,
        "final_given": 0.0,
        "finished": 1.0,
        "hedging": 0.0,
        "refusal": 0.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("response", "signal", "value"),
    [
        ("12 * 5 = 70 jars, and 70 - 4 = 66.\n#### 66", "wrong_steps", 0.5),
        ("12 * 5 = 60 jars.\n#### 60", "prompt_numbers_unused", 1 / 3),
        ("12 * 5 = 60 jars. 12 - 4 = 8 jars.\n#### 8", "unused_steps", math.log(2)),
        ("12 * 5 = 60 jars. 60 * 17 = 1020.\n#### 1020", "foreign_numbers", math.log(2)),
        ("12 / 5 = 2.4\n#### 2.4", "final_whole", 0.0),
        ("12 / 5 = 2.4\n#### 2.4", "fractions", 1.0),
        ("It is 12.", "final_given", 1.0),
        ("Many.", "has_final", 0.0),
        ("The crates hold 12 * 5 = 60 jars, so without", "finished", 0.0),
        ("It may be 56, perhaps.", "hedging", math.log(3)),
        ("No, it is not 56.", "negations", math.log(3)),
        ("However, it is 56.", "restarts", math.log(2)),
        ("Jars are always full.", "absolutes", math.log(2)),
        ("I don't know.", "refusal", 1.0),
        ("so it is so it is", "repetition", 0.25),
        ("It was Ada, said Bert.", "names", 2 / 5),
        ("jars hold crates", "new_words", 0.0),
    ],
)
def test_what_a_signal_reacts_to(response: str, signal: str, value: float) -> None:
    assert response_signals(PROMPT, response)[signal] == pytest.approx(value)


def test_log_probabilities_are_there_when_they_are_given() -> None:
    assert not [name for name in response_signals(PROMPT, GOOD) if "logprob" in name or "tokens" in name]
    found = response_signals(PROMPT, GOOD, [-0.1, -0.3, -2.6, 0.0, -1.0])
    assert found["logprob_mean"] == pytest.approx(-0.8)
    assert found["logprob_min"] == -2.6
    assert found["logprob_median"] == -0.3
    assert found["logprob_first"] == pytest.approx(-1.0)
    assert found["logprob_last"] == pytest.approx(-0.975)
    assert found["doubtful_tokens"] == pytest.approx(0.2)


def test_a_response_that_ends_on_a_number_that_no_float_holds() -> None:
    found = response_signals(PROMPT, f"That is 56, or {'9' * 400}")
    assert (found["has_final"], found["final_size"]) == (1.0, math.log1p(56))
    assert response_signals(PROMPT, "9" * 400)["has_final"] == 0.0


@given(st.text(max_size=80), st.text(max_size=80), st.lists(st.floats(-50, 0), max_size=5))
def test_signals_are_finite(prompt: str, response: str, logprobs: list[float]) -> None:
    found = response_signals(prompt, response, logprobs)
    assert all(math.isfinite(value) for value in found.values())
    assert found.keys() >= response_signals("", "").keys()
