"""Fusion: a weight per index, chosen on its own questions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Passage
from retrieval.fusion import DEFAULT_WEIGHT, GRID, choose_weight, fuse, standardise
from retrieval.index import assemble


def ranks(table):
    """rank_of_right from {weight: [rank of question 0, ...]}; other weights find nothing."""
    return lambda q, weight: table.get(weight, [None] * 9)[q]


@pytest.mark.parametrize(
    ("table", "n", "chosen"),
    [
        ({}, 0, DEFAULT_WEIGHT),
        ({}, 3, 0.5),  # all alike: the middle
        ({0.3: [1, 1, 1], 0.9: [1, 1, 2]}, 3, 0.3),  # the better ranks
        ({0.3: [1, 6], 0.9: [5, 5]}, 2, 0.9),  # R@5 before the rank
        ({0.0: [1, None], 1.0: [1, None]}, 2, 0.0),  # alike and as far from the middle: the first
        ({0.2: [2, 2], 0.6: [2, 2]}, 2, 0.6),  # alike: the one nearer the middle
    ],
)
def test_the_weight_is_chosen_by_hand_made_ranks(table, n, chosen):
    assert choose_weight(ranks(table), range(n)) == chosen


def test_half_a_point_of_r5_is_given_for_better_ranks():
    found = {0.4: [1] * 398 + [None] * 2, 0.8: [5] * 400}
    assert choose_weight(lambda q, w: found.get(w, [None] * 400)[q], range(400)) == 0.4
    found = {0.4: [1] * 397 + [None] * 3, 0.8: [5] * 400}
    assert choose_weight(lambda q, w: found.get(w, [None] * 400)[q], range(400)) == 0.8


@given(st.lists(st.sampled_from([-3, -1, 0, 0.5, 1, 2]), min_size=1, max_size=20))
def test_standard_scores(values):
    scores = standardise(np.array(values, np.float32))
    spread = float(scores.std())
    assert abs(float(scores.mean())) < 1e-5
    assert spread == pytest.approx(1, abs=1e-4) if len(set(values)) > 1 else spread == 0


def test_the_ends_of_the_grid_are_the_parts():
    dense, lexical = np.array([0.1, 0.9, 0.5], np.float32), np.array([3, 0, 7], np.float32)
    assert GRID[0] == 0 and GRID[-1] == 1
    np.testing.assert_allclose(fuse(dense, lexical, 1), standardise(dense))
    np.testing.assert_allclose(fuse(dense, lexical, 0), standardise(lexical))
    assert fuse(dense, np.zeros(3, np.float32), 0.3).argmax() == 1


def passages(*texts):
    return [Passage(f"d{n}#1", "", text, "s", f"d{n}") for n, text in enumerate(texts)]


def test_a_corpus_of_meanings_trusts_the_vectors(minilm):
    corpus = passages(
        "The physician examined the sick child.",
        "My car is what I said it is: a car, a red car.",
        "Felines purr when content.",
        "Why is it my cat that the kids call Doctor?",
        "A vehicle needs petrol to move.",
        "Hot drinks can burn a tongue.",
    )
    questions = [("the doctor saw my ill kid", "d0"), ("why does my cat sound happy", "d2"), ("what does my car run on", "d4")]
    assert assemble(corpus, minilm, questions=questions).manifest.dense_weight >= 0.5


def test_a_corpus_of_part_numbers_trusts_the_words(minilm):
    codes = ["XK7-9921", "QP-44310", "ZZT-0087", "AB-5512", "MN-7734", "RR-2210"]
    corpus = passages(*(f"Part {code} fits the pump and costs nine pounds." for code in codes))
    questions = [(f"Which price has {code}?", f"d{n}") for n, code in enumerate(codes)]
    index = assemble(corpus, minilm, questions=questions)
    assert index.manifest.dense_weight <= 0.5
    for question, document in questions:
        assert index.search(question, minilm.encode([question])[0], 1)[0].passage.document == document
