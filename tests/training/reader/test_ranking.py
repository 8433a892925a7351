"""Fitting the ranking: it learns which signal tells, and how far the probability can be believed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.types import Hit, Passage
from experts.discovery import Item
from retrieval.ranking import FEATURES, Weights
from retrieval.reader import Reading, Span
from tests.conftest import WordEncoder
from training.reader.ranking import Read, case, fit, fit_retrieval, hit_rate, write

KEY = "two minutes"


WORDS = WordEncoder()


def drawn(n: int, seed: int, *, tells: float = 4.0) -> list[Read]:
    """`n` questions of three passages of two sentences; `tells`: by how much the right sentence's span stands out."""
    rng, made = np.random.default_rng(seed), []
    for number in range(n):
        item = Item(f"How long does kind {number} steep?", "", KEY, "right", "dev")
        hits, readings, place = [], [], int(rng.integers(2))
        for document in ("right", "wrong", "other"):
            texts = [f"It says number {rng.integers(999)}." for _ in range(2)]
            scores = rng.normal(size=2)
            if document == "right":
                texts[place] = f"It takes {KEY}."
                scores[place] += tells
            hits.append(Hit(Passage(document, "", " ".join(texts), "", document), float(rng.normal()), 0.5))
            sentences = tuple(Span(text, float(score)) for text, score in zip(texts, scores, strict=True))
            readings.append(Reading(float(rng.normal() + (2.0 if document == "right" else 0.0)), sentences[0], sentences))
        made.append(Read(item, hits, readings, 2, WORDS))
    return made


def test_the_signal_that_tells_is_weighed():
    weights, numbers = fit(drawn(100, 2), drawn(200, 0))
    assert weights.coefficients[FEATURES.index("span")] > 0.3
    assert abs(weights.coefficients[FEATURES.index("bigrams")]) < 0.1
    assert numbers["dev"] == pytest.approx(hit_rate(weights, drawn(400, 1)), abs=0.05)


def test_its_probability_can_be_believed():
    weights, _ = fit(drawn(100, 2), drawn(400, 0))
    judged = [case(row, weights.retrieval, withheld=withheld) for row in drawn(600, 1) for withheld in (False, True)]
    p = [weights.probabilities(c.features) for c in judged]
    answers, right = np.array([each.sum() for each in p]), np.array([c.right.any() for c in judged])
    assert right.mean() == pytest.approx(answers.mean(), abs=0.03), "that the passages answer at all"
    sure = answers > 0.5
    assert right[sure].mean() == pytest.approx(answers[sure].mean(), abs=0.07)
    each, its = np.concatenate(p), np.concatenate([c.right for c in judged])
    assert its[each > 0.5].mean() == pytest.approx(each[each > 0.5].mean(), abs=0.07), "that one sentence is the answer"


def elsewhere(n: int, seed: int) -> list[Read]:
    """Questions put to documents of which none answers: one sentence stands out as well, but the reader turns its passage down."""
    made = []
    for row in drawn(n, seed):
        readings = [replace(reading, answers=reading.answers - 4.0) for reading in row.readings]
        made.append(replace(row, item=replace(row.item, document="nowhere"), readings=readings))
    return made


def test_documents_that_do_not_answer_lower_it():
    without, taught = (fit(drawn(100, 2), drawn(200, 0), more)[0] for more in ([], elsewhere(200, 1)))
    cases = [case(row, 0.0) for row in elsewhere(200, 3)]
    before, after = (np.mean([weights.probabilities(c.features).sum() for c in cases]) for weights in (without, taught))
    assert after < 0.1 < 0.3 < before


def test_a_withheld_document_leaves_no_right_sentence():
    row = drawn(1, 0)[0]
    assert case(row, 0.0).right.sum() <= 1
    assert {row.hits[n].passage.id for n in row.best(0.0, withheld=True)} == {"wrong", "other"}
    assert not case(row, 0.0, withheld=True).right.any()


def searched(rows: list[Read], of_right: float, of_others: float) -> list[Read]:
    """The same, with these scores of the search."""
    scores = {"right": of_right}
    hits = [[Hit(h.passage, scores.get(h.passage.id, of_others), 0.5) for h in row.hits] for row in rows]
    return [replace(row, hits=found) for row, found in zip(rows, hits, strict=True)]


def test_the_search_counts_where_it_knows_better():
    rows = drawn(200, 0)
    assert fit_retrieval(searched(rows, 3.0, 0.0)) >= 1.0
    assert fit_retrieval(searched(rows, 0.0, 3.0)) == 0.0


def test_what_is_written_is_read_again(tmp_path):
    weights, numbers = fit(drawn(60, 1), drawn(60, 0))
    write(weights, numbers, "made up", tmp_path / "weights.json")
    found = Weights.read(tmp_path / "weights.json")
    np.testing.assert_allclose(found.coefficients, weights.coefficients, atol=1e-6)
    np.testing.assert_allclose(found.evidence, weights.evidence, atol=1e-6)
    assert found.retrieval == weights.retrieval
    assert json.loads((tmp_path / "weights.json").read_text())["data"] == "made up"
