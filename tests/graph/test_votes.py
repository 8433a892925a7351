"""Votes: what an example's score would be without it, beside a fit that really is without it."""

from __future__ import annotations

import numpy as np
import pytest

from graph.routers.votes import PROBES, Floats, distrust_of, highest, kernel, learn
from retrieval.encoder import Vectors

SHARPNESS, RIDGE = 0.7, 0.1


def drawn(examples: int) -> tuple[Vectors, Floats]:
    """Unit vectors of two labels that overlap, and their targets."""
    rng = np.random.default_rng(7)
    own = rng.integers(0, 2, examples)
    vectors = rng.normal(size=(examples, 32)) + 0.6 * np.where(own, 1.0, -1.0)[:, None] * (np.arange(32) < 8)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.where(own[:, None] == np.arange(2), 1.0, -1.0)


def test_of_many_examples_the_left_out_scores_are_near_those_of_a_fit_without_them() -> None:
    """Of few they are exact: see test_routers."""
    examples = 2 * PROBES
    vectors, targets = drawn(examples)
    distrust = distrust_of(targets)
    found = learn("kernel", vectors, targets, distrust, SHARPNESS, RIDGE)
    rows = range(0, examples, examples // 8)
    expected = []
    for n in rows:
        others = np.arange(examples) != n
        without = learn("kernel", vectors[others], targets[others], distrust[others], SHARPNESS, RIDGE)
        expected.append(kernel(vectors[n] @ without.anchors.T, SHARPNESS) @ without.votes)
    np.testing.assert_allclose(found.left_out[rows], expected, atol=0.08)
    with_own_vote = kernel(vectors[rows] @ vectors.T, SHARPNESS) @ found.votes
    assert np.abs(found.left_out[rows] - with_own_vote).mean() > 10 * np.abs(found.left_out[rows] - expected).mean()


@pytest.mark.parametrize(("size", "k"), [(1, 5), (5, 5), (64, 1), (700, 5), (700, 11), (5_000, 20)])
def test_the_highest_are_those_of_a_whole_ordering(size, k):
    values = np.random.default_rng(size).normal(size=size).astype(np.float32)
    assert highest(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()
    assert highest(np.round(values), k).tolist() == np.argsort(-np.round(values), kind="stable")[:k].tolist()
