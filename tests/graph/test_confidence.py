"""Signals in their range, and the weights that ship."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.settings import ROOT
from core.types import NO_ANSWER, OUT_OF_SCOPE, Hit, Passage
from graph.citations import cite
from graph.confidence import AFTER, BEFORE, EXTRA_AFTER, EXTRA_BEFORE, Confidence, Logistic, after_answer, before_answer, says_nothing
from retrieval.encoder import Encoder
from retrieval.reader import Reader

SHIPPED = ROOT / "artifacts" / "confidence" / "weights.json"
TEXTS = ["Green tea steeps for two minutes. Black tea steeps for four.", "The queen lays two thousand eggs a day."]
HITS = [Hit(Passage(f"p{n}", "Title", text, "source"), 1.0, 0.8 - n / 10) for n, text in enumerate(TEXTS)]
WORDS = st.lists(st.sampled_from([*" ".join(TEXTS).split(), "[1]", "[2]", "[7]", "volcano", "?", NO_ANSWER]), max_size=15).map(" ".join)


@pytest.fixture(scope="session")
def reader(encoder: Encoder) -> Reader:
    return Reader(ROOT / "artifacts" / "reader", encoder)


@given(WORDS | st.text(max_size=60), WORDS | st.text(max_size=60), st.lists(st.sampled_from(HITS), max_size=4, unique=True), st.data())
def test_signals_stay_in_their_range(
    encoder: Encoder, reader: Reader, question: str, text: str, hits: list[Hit], data: st.DataObject
) -> None:
    raw = [data.draw(st.floats(0, 1)) for _ in range(3)]
    total = sum(raw) or 1.0
    scores = dict(zip(("tea", "bees", OUT_OF_SCOPE), (r / total for r in raw), strict=True))
    parts = before_answer(question, "tea", scores, hits, reader, data.draw(st.none() | st.floats(0, 1)))
    assert set(BEFORE) <= set(parts) <= {*BEFORE, *EXTRA_BEFORE}
    logprobs = data.draw(st.lists(st.floats(-100, 0), max_size=4))
    parts |= after_answer(question, text, hits, cite(text, hits), encoder, reader, logprobs)
    assert set(AFTER) <= set(parts) <= {*AFTER, *EXTRA_AFTER}
    assert all(-1 - 1e-6 <= value <= 1 + 1e-6 for value in parts.values()), parts
    assert all(isinstance(value, float) for value in parts.values())
    shipped = Confidence.read(SHIPPED)
    assert 0 <= shipped.before.probability(parts) <= 1
    assert 0 <= shipped.after.probability(parts) <= 1


def test_what_is_known_before_the_answer(reader: Reader) -> None:
    question = "How long does green tea steep?"
    parts = before_answer(question, "tea", {"tea": 0.7, OUT_OF_SCOPE: 0.1}, HITS, reader)
    # "long" is a word of the question that no passage holds.
    known = {"route": 0.7, "cosine": 0.8, "cosine_gap": 0.05, "coverage": 0.75, "margin": 0.6}
    assert parts == pytest.approx({**known, "evidence": reader.answers(question, [hit.as_dict() for hit in HITS])})


def test_without_passages_there_is_no_evidence(reader: Reader) -> None:
    assert before_answer("Why?", "tea", {}, [], reader) == dict.fromkeys((*BEFORE, "margin"), 0.0)


def test_what_the_passages_answer_is_better_evidence_than_what_they_do_not(reader: Reader) -> None:
    asked = ("How long does green tea steep?", "How deep is the Pacific Ocean?")
    there, not_there = (before_answer(question, "tea", {}, HITS, reader)["evidence"] for question in asked)
    assert there > 2 * not_there


def test_difficulty_is_a_signal_once_there_is_a_router_for_it(reader: Reader) -> None:
    assert before_answer("Why?", "tea", {}, [], reader, 0.7)["superior_probability"] == 0.7
    assert "superior_probability" not in before_answer("Why?", "tea", {}, [], reader)


def test_a_supported_draft_shows_in_every_signal(encoder: Encoder, reader: Reader) -> None:
    question, text = "How long does green tea steep?", "Green tea steeps for two minutes. [1]"
    good = after_answer(question, text, HITS, cite(text, HITS), encoder, reader)
    bad = after_answer(question, "Volcanoes erupt lava. [1]", HITS, cite("Volcanoes erupt lava. [1]", HITS), encoder, reader)
    assert (good["support"], good["answers"], good["draft_coverage"]) == (1.0, 1.0, 0.75)
    assert (bad["support"], bad["answers"], bad["draft_coverage"]) == (0.0, 1.0, 0.0)
    assert good["relevance"] > bad["relevance"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "  \n", NO_ANSWER, NO_ANSWER.upper(), f"Sorry. {NO_ANSWER} [1]", "the passages do not answer this question"),
        *("I do not know.", "I don’t know.", "I'm sorry, but I can't help with that.", "Unfortunately, I cannot find it."),
        *("The passages don't mention it. They are about tea.", "There is no information about it in the passages."),
    ],
)
def test_no_answer_gives_zeros(encoder: Encoder, reader: Reader, text: str) -> None:
    assert says_nothing(text)
    assert after_answer("Why?", text, HITS, [], encoder, reader) == dict.fromkeys(AFTER[len(BEFORE) :], 0.0)


def test_the_draft_itself_is_looked_at(encoder: Encoder, reader: Reader) -> None:
    text = "It may be 2 + 2 = 5 minutes, perhaps. [1]"
    parts = after_answer("How long?", text, HITS, [], encoder, reader, [-0.5, -0.5, -3.5])
    assert parts["wrong_steps"] == 1.0
    assert parts["hedging"] == pytest.approx(math.log(3) / 3)
    assert parts["length"] == pytest.approx(math.log(10) / 7)
    assert parts["token_probability"] == pytest.approx(math.exp(-1.5))
    assert parts["doubtful_tokens"] == pytest.approx(1 / 3)


def test_no_log_probabilities_no_signal_of_them(encoder: Encoder, reader: Reader) -> None:
    assert not {"token_probability", "doubtful_tokens"} & set(after_answer("How long?", "Two minutes. [1]", HITS, [], encoder, reader))


@pytest.mark.parametrize(
    "text",
    [
        *("The passages answer this question.", "I can tell you: two minutes.", "Green tea steeps. I do not know for how long."),
        *("I'm sorry to hear that. Sleep more.", "The passages do not say when, but green tea steeps for two minutes [1]."),
    ],
)
def test_an_answer_says_something(text: str) -> None:
    assert not says_nothing(text)


def test_the_probability_is_logistic_and_never_overflows() -> None:
    model = Logistic({"a": 2.0, "b": -1.0}, 0.5)
    assert model.probability({"a": 1.0, "b": 0.5, "other": 9.0}) == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert model.probability({"a": 1e6, "b": 0.0}) == pytest.approx(1.0)
    assert model.probability({"a": -1e6, "b": 0.0}) == pytest.approx(0.0, abs=1e-12)


def test_a_missing_signal_is_neutral_only_where_it_may_be_missing() -> None:
    model = Logistic({"a": 2.0, "b": -1.0}, 0.5, neutral={"b": 0.25})
    assert model.probability({"a": 1.0}) == model.probability({"a": 1.0, "b": 0.25})
    assert model.probability({"a": 1.0, "b": 1.0}) < model.probability({"a": 1.0})
    with pytest.raises(KeyError):
        model.probability({"b": 1.0})


def regression(names: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    return {"weights": dict.fromkeys(names, 1.0), "intercept": 0.0} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected the confidence's weights"),
        ("", "expected the confidence's weights"),
        ("[]", "expected the confidence's weights"),
        ("{}", "expected the confidence's weights"),
        (json.dumps({"before": regression(BEFORE), "after": {}}), "expected the confidence's weights"),
        (json.dumps({"before": regression(BEFORE, weights=None), "after": regression(AFTER)}), "expected the confidence's weights"),
        (json.dumps({"before": regression(BEFORE), "after": regression(BEFORE)}), "fitted for other signals"),
        (json.dumps({"before": regression((*BEFORE, "mood")), "after": regression(AFTER)}), "fitted for other signals"),
        (json.dumps({"before": regression((*BEFORE, "hedging"), neutral={"hedging": 0.0}), "after": regression(AFTER)}), "other signals"),
        (json.dumps({"before": regression(BEFORE), "after": regression((*AFTER, "hedging"))}), "fitted for other signals"),
    ],
)
def test_other_weights_are_refused_with_the_command_that_makes_them(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "weights.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"{message}.*Run: switchyard train confidence"):
        Confidence.read(path)
