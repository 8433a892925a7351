"""Probabilities that mean what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.errors import InputError
from graph.routers.calibration import FLOOR, METHODS, Calibration, Floats, against_the_rest, fit_calibration, log_loss, softmax

EYE = np.eye(3)


def drawn(n: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Scores, and labels drawn with just their probabilities."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (n, 3))
    return scores, EYE[[rng.choice(3, p=p) for p in softmax(scores)]]


def test_a_temperature_mends_scores_that_are_too_sure() -> None:
    scores, targets = drawn(3000)
    found = fit_calibration(4 * scores, targets)
    assert found.method == "temperature"
    assert found.temperature == pytest.approx(0.25, rel=0.06)
    np.testing.assert_allclose(found.probabilities(4 * scores), softmax(scores), atol=0.03)


def test_a_label_whose_scores_are_too_high_takes_a_curve_of_its_own() -> None:
    scores, targets = drawn(3000)
    skewed = np.add(scores, [0.0, 2.5, 0.0])
    found = fit_calibration(skewed, targets)
    assert found.method == "platt"
    np.testing.assert_allclose(found.probabilities(skewed).mean(axis=0), targets.mean(axis=0), atol=0.04)


def test_bent_scores_take_a_staircase() -> None:
    rng = np.random.default_rng(1)
    side = rng.uniform(-4, 4, 4000)
    share = np.where(np.abs(side) < 2, 0.5, np.where(side > 0, 0.95, 0.05))
    targets = np.eye(2)[(rng.random(4000) < share).astype(int)]
    scores = np.stack([-side, side], axis=1)
    found = fit_calibration(scores, targets)
    assert found.method == "isotonic"
    assert found.probabilities(np.array([[-1.0, 1.0], [-3.0, 3.0]]))[:, 1].tolist() == pytest.approx([0.5, 0.95], abs=0.06)


def test_each_label_climbs_its_own_staircase() -> None:
    curves = [[[-2.0, 1.0], [0.1, 0.4]], [[0.5], [0.7]], [[-30.0, 0.0, 30.0], [0.0, 0.5, 1.0]]]
    scores = np.random.default_rng(0).normal(0, 8, (200, 3))
    odds = against_the_rest(scores)
    each = np.stack([np.interp(odds[:, n], *curve) for n, curve in enumerate(curves)], axis=1)
    each = np.maximum(each, FLOOR)
    found = Calibration("isotonic", curves=curves).probabilities(scores)
    np.testing.assert_allclose(found, each / each.sum(axis=1, keepdims=True), atol=1e-9)


def test_few_rows_teach_one_number() -> None:
    scores, targets = drawn(60)
    assert fit_calibration(np.add(scores, [0.0, 3.0, 0.0]), targets).method == "temperature"


def test_weights_make_the_classes_count_alike() -> None:
    targets = np.eye(2)[[0] * 90 + [1] * 10]
    scores = np.zeros((100, 2))
    even = np.r_[np.full(90, 100 / 180), np.full(10, 100 / 20)]
    assert log_loss(softmax(scores), targets, even) == pytest.approx(np.log(2))
    sure = np.tile([2.0, 0.0], (100, 1))
    assert log_loss(softmax(sure), targets, np.ones(100)) < np.log(2) < log_loss(softmax(sure), targets, even)


@pytest.mark.parametrize("bend", [(1.0, 0.0), (3.0, 0.0), (1.0, 2.5)])
def test_whatever_is_chosen_is_a_distribution_and_survives_json(bend: tuple[float, float]) -> None:
    scores, targets = drawn(400)
    scores = np.add(bend[0] * scores, [0.0, bend[1], 0.0])
    found = fit_calibration(scores, targets)
    p = found.probabilities(np.r_[scores, [[50.0, 0.0, -50.0]]])
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert np.isfinite(p).all()
    again = Calibration.from_dict(json.loads(json.dumps(found.as_dict())))
    np.testing.assert_array_equal(again.probabilities(scores), found.probabilities(scores))


def test_what_cannot_be_used() -> None:
    with pytest.raises(InputError, match="got no rows"):
        fit_calibration(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="'magic' is no method"):
        Calibration.from_dict({"method": "magic"})
    assert METHODS == ("temperature", "platt", "isotonic")
