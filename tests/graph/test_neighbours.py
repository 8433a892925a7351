"""How near a text lies to each label's nearest examples, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from graph.routers.neighbours import SCALE, closeness, left_out, members_of

OF = ["tea"] * 5 + ["bees"] + ["bees+tea"]
LABELS = ["bees", "tea"]


def test_an_example_of_two_labels_is_one_of_each() -> None:
    assert [rows.tolist() for rows in members_of(OF, LABELS)] == [[5, 6], [0, 1, 2, 3, 4, 6]]


def test_a_label_may_hold_a_plus() -> None:
    assert [rows.tolist() for rows in members_of(["C++", "C", "C", "C++"], ["C", "C++"])] == [[1, 2], [0, 3]]


def test_of_few_examples_the_nearest_alone_counts() -> None:
    cosines = np.array([[0.1, 0.9, 0.2, 0.8, 0.7, 0.3, 0.5]], np.float32)
    np.testing.assert_allclose(closeness(cosines, members_of(OF, LABELS)), [[SCALE * 0.5, SCALE * 0.9]], rtol=1e-6)


@pytest.mark.parametrize(("size", "reach"), [(99, 1), (200, 4), (1500, 30), (4000, 30)])
def test_the_more_examples_the_more_are_looked_at(size: int, reach: int) -> None:
    cosines = np.random.default_rng(size).uniform(-1, 1, (1, size)).astype(np.float32)
    best = -np.sort(-cosines[0])
    expected = SCALE * (best[: min(3, reach)].mean() + best[:reach].mean()) / 2
    np.testing.assert_allclose(closeness(cosines, [np.arange(size)]), [[expected]], rtol=1e-5)


def test_an_example_that_is_left_out_is_judged_as_if_it_were_none() -> None:
    vectors = np.random.default_rng(0).normal(size=(260, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    of = ["tea"] * 220 + ["bees"] * 38 + ["bees+tea", "alone"]
    labels = ["alone", "bees", "tea"]
    found = left_out(vectors, members_of(of, labels))
    for row in (0, 100, 219, 220, 257, 258):
        others = np.arange(len(of)) != row
        without = members_of([own for n, own in enumerate(of) if n != row], labels)
        expected = closeness((vectors[others] @ vectors[row])[None], without)
        np.testing.assert_allclose(found[row], expected[0], rtol=1e-4, atol=1e-4)
    assert found[259, 0] == 0  # the only one of its label


def test_the_same_text_twice_leaves_out_only_itself() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    found = left_out(vectors, members_of(["tea"] * 4, ["tea"]))
    np.testing.assert_allclose(found[:, 0], [SCALE, SCALE, 0, 0], atol=1e-6)
