import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.tradeoff import CLOSE, aiq, best_worth, choices, hull, worths

POINTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


def array(*values):
    return np.array(values, np.float64)


def test_the_hull_rises_and_bends_down():
    found = hull(array(0, 1, 2, 3, 1), array(0.2, 0.5, 0.6, 0.55, 0.3))
    assert (found.cost.tolist(), found.quality.tolist()) == ([0, 1, 2], [0.2, 0.5, 0.6])
    assert found.at(0.5) == pytest.approx(0.35)
    assert found.at(9) == 0.6
    assert found.at(-1) is None
    assert found.cost_of(0.55) == pytest.approx(1.5)
    assert found.cost_of(0.1) == 0
    assert found.cost_of(0.61) is None


def test_a_point_under_the_line_of_its_neighbours_is_left_out():
    found = hull(array(0, 1, 2), array(0.0, 0.1, 1.0))
    assert found.cost.tolist() == [0, 2]


@given(POINTS)
def test_no_point_lies_above_the_hull(points):
    cost, quality = array(*(c for c, _ in points)), array(*(q for _, q in points))
    found = hull(cost, quality)
    assert all(found.at(c) >= q - 1e-9 for c, q in points)
    assert (np.diff(found.cost) > 0).all()
    assert (np.diff(found.quality) > 0).all()


def test_aiq_is_the_mean_height():
    found = hull(array(0, 1, 2), array(0.2, 0.5, 0.6))
    assert aiq(found, 0, 2) == pytest.approx((0.35 + 0.55) / 2)
    assert aiq(found, 1, 3) == pytest.approx((0.55 + 0.6) / 2)
    assert aiq(found, -1, 0) == pytest.approx(0.2)
    assert aiq(found, 1, 1) is None


def test_worths_are_on_the_scale_of_the_costs():
    found = worths(array(0.002, np.nan))
    assert (found[0], found[1], found[-1]) == (0, pytest.approx(0.5), pytest.approx(500_000))
    assert worths(array(0, 0)).tolist() == [0]
    assert worths(array(np.nan)).tolist() == [0]


def test_the_choice_moves_to_the_cheaper_model():
    scores, costs = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[0.1, 1.0], [0.1, 1.0]])
    made = choices(np.array([[0.2, 0.9], [0.8, 0.85]]), costs, scores, costs)
    assert made.picked.tolist() == [1, 1]
    assert (made.scores[0].tolist(), made.costs[0].tolist()) == ([1, 1], [1, 1])
    assert (made.scores[-1].tolist(), made.costs[-1].tolist()) == ([0, 1], [0.1, 0.1])
    # In between only the second row, where little is lost.
    assert [1.0, 0.1] in made.costs.tolist()
    assert best_worth(made, worths(costs)) == pytest.approx(worths(costs)[made.costs.tolist().index([1.0, 0.1]) :].min(), rel=20)
    assert CLOSE == 0.005


def test_of_equals_the_cheaper_and_of_the_unmeasured_none():
    scores = np.array([[1.0, 1.0, np.nan]])
    made = choices(np.array([[0.5, 0.5, 0.9]]), np.array([[0.2, 0.1, 0.1]]), scores, np.array([[0.2, 0.1, 0.1]]))
    assert made.picked.tolist() == [1]


def test_where_a_cost_is_unknown_only_quality_decides():
    scores, costs = np.array([[0.0, 1.0]]), np.array([[0.1, np.nan]])
    made = choices(np.array([[0.2, 0.9]]), costs, scores, costs)
    assert made.scores.tolist() == [[1.0]]
