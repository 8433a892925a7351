import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.metrics import (
    Bin,
    Curve,
    apgr,
    auroc,
    bootstrap,
    bootstrap_all,
    cost_quality,
    cpt,
    ece,
    exact_match,
    macro_f1,
    mean,
    mean_curve,
    mean_defined,
    mrr,
    ndcg,
    recall_at,
    recall_when_keeping,
    reliability,
    risk_at,
    risk_coverage,
    squad_normalise,
    token_f1,
)

UNIT = st.floats(0, 1)
NOTHING = np.array([])
unhurried = settings(deadline=None)
"""A busy machine is no fault of the metric."""


def test_macro_f1_is_the_mean_over_labels_of_either_side():
    truth, predicted = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 1, 0])
    # label 0: 2 right of 3 true and 3 predicted; label 1: 2 right of 2 and 3; label 2 occurs nowhere; label 3: none right.
    assert macro_f1(truth, predicted) == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)


def test_ranks_not_found_count_as_nothing():
    ranks = np.array([1.0, 2.0, 11.0, np.inf])
    assert recall_at(ranks, 1) == 0.25
    assert recall_at(ranks, 5) == 0.5
    assert recall_at(ranks, 20) == 0.75
    assert mrr(ranks) == pytest.approx((1 + 1 / 2 + 1 / 11) / 4)
    assert ndcg(ranks, 10) == pytest.approx((1 + 1 / np.log2(3)) / 4)


def test_auroc_counts_ties_half():
    assert auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert auroc(np.array([0.1]), np.array([0.2])) == 0.0


def test_recall_when_keeping_95_percent_of_the_others():
    negative = np.arange(20) / 20
    # Keeping 19 of 20 puts the threshold at 0.90: only what lies above it is found.
    assert recall_when_keeping(np.array([0.90, 0.91, 0.99, 0.2]), negative) == 0.5
    assert recall_when_keeping(np.array([0.96]), negative, kept=1.0) == 1.0


def test_ece_of_two_bins_by_hand():
    confidence, right = np.array([0.1, 0.3, 0.8, 1.0]), np.array([False, True, True, True])
    assert reliability(confidence, right, bins=2) == [Bin(0.2, 0.5, 2), Bin(0.9, 1.0, 2)]
    assert ece(confidence, right, bins=2) == pytest.approx((2 * 0.3 + 2 * 0.1) / 4)


def test_a_constant_confidence_is_as_wrong_as_it_is_on_average():
    right = np.arange(30) % 2 == 0
    assert ece(np.full(30, 0.5), right) == pytest.approx(0.0)
    assert ece(np.full(30, 0.9), right) == pytest.approx(0.4)
    assert {b.accuracy for b in reliability(np.full(30, 0.9), right)} == {0.5}


def test_bins_of_equal_mass_differ_by_one_row_at_most():
    sizes = [b.n for b in reliability(np.linspace(0, 1, 32), np.ones(32, bool))]
    assert sizes == [3, 3, *[2] * 13]


def test_squad_scores():
    assert squad_normalise("The  Cat, an animal!") == "cat animal"
    assert exact_match("The Eiffel Tower.", ["eiffel tower"]) == 1.0
    assert exact_match("the tower", ["eiffel tower"]) == 0.0
    # "red big car": two of three given words and both right words are shared.
    assert token_f1("a red big car", ["the big car", "boat"]) == pytest.approx(4 / 5)
    assert token_f1("", ["car"]) == 0.0
    assert token_f1("the", ["a"]) == 1.0
    assert token_f1("car", []) == 0.0


def test_what_is_not_defined_is_none():
    some = np.array([0.5])
    assert mean([]) is None
    assert macro_f1(np.array([], int), np.array([], int)) is None
    assert ece(NOTHING, np.array([], bool)) is None
    assert auroc(NOTHING, some) is None
    assert auroc(some, NOTHING) is None
    assert recall_when_keeping(NOTHING, some) is None
    assert recall_when_keeping(some, NOTHING) is None
    assert recall_at(NOTHING, 5) is None
    assert bootstrap(lambda rows: 1.0, 0) is None
    assert bootstrap(lambda rows: None, 3) is None


def test_bootstrap_repeats_and_brackets_the_mean():
    values = np.array([0.0] * 30 + [1.0] * 70)
    low, high = bootstrap(lambda rows: mean(values[rows]), 100) or (0, 0)
    assert (low, high) == bootstrap(lambda rows: mean(values[rows]), 100)
    # The normal approximation: 0.7 +- 1.96 * sqrt(0.7 * 0.3 / 100).
    assert low == pytest.approx(0.61, abs=0.02)
    assert high == pytest.approx(0.79, abs=0.02)
    assert (low, high) != bootstrap(lambda rows: mean(values[rows]), 100, seed=1)


WEAK, STRONG = np.array([0.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0])
"""The inferior model is right once, the superior one three times."""


def test_cost_and_quality_by_hand():
    # Sent in this order: a gain, none, a gain, none.
    curve = cost_quality(np.array([0.9, 0.8, 0.7, 0.1]), WEAK, STRONG)
    assert curve.strong_share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.quality.tolist() == [0.25, 0.5, 0.5, 0.75, 0.75]
    assert curve.recovered.tolist() == [0, 0.5, 0.5, 1, 1]
    assert apgr(curve) == pytest.approx((0.25 + 0.5 + 0.75 + 1) / 4)
    assert cpt(curve, 0.5) == pytest.approx(0.25)
    # Three fifths of the way from 0.5 to 1.
    assert cpt(curve, 0.8) == pytest.approx(0.5 + 0.6 * 0.25)
    assert cpt(curve, 1.0) == pytest.approx(0.75)


def test_equal_need_is_the_random_router_whatever_the_order_of_the_file():
    curve = cost_quality(np.full(4, 0.3), WEAK, STRONG)
    assert curve.strong_share.tolist() == [0, 1]
    assert (apgr(curve), cpt(curve, 0.5), cpt(curve, 0.8)) == (0.5, 0.5, pytest.approx(0.8))


def test_cpt_is_the_first_time_that_the_curve_gets_there():
    # Up to 0.6 of the gap, down to 0, and up again: np.interp over such a curve would be wrong.
    curve = Curve(np.array([0, 0.25, 0.5, 1.0]), np.array([0, 0.6, 0.0, 1.0]))
    assert cpt(curve, 0.5) == pytest.approx(0.25 * 0.5 / 0.6)
    assert cpt(curve, 0.8) == pytest.approx(0.5 + 0.5 * 0.8)


@pytest.mark.parametrize("strong", [WEAK, 1 - STRONG])
def test_without_a_gap_nothing_can_be_recovered(strong):
    curve = cost_quality(np.arange(4.0), WEAK, strong)
    assert (curve.recovered, apgr(curve), cpt(curve, 0.5)) == (None, None, None)


def test_the_mean_curve_is_a_ratio_of_means():
    whole = cost_quality(np.array([2.0, 1.0]), np.zeros(2), np.array([1.0, 0.0]))
    flat = Curve(np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    found = mean_curve([whole, flat], [2, 6])
    # The second fold has no gap: alone it has no apgr, and it changes nothing.
    assert apgr(found) == pytest.approx(apgr(whole))
    assert found.quality[[0, -1]] == pytest.approx([(0 * 2 + 0.5 * 6) / 8, (0.5 * 2 + 0.5 * 6) / 8])
    assert mean_curve([whole], [2]) is whole
    assert mean_defined([0.2, None, 0.4]) == pytest.approx(0.3)
    assert mean_defined([None]) is None


def test_risk_and_coverage_by_hand():
    curve = risk_coverage(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
    assert curve.coverage.tolist() == [0.25, 0.75, 1]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 3, 1 / 2])
    # Half of the rows: the surest, and one of the two equals, which is wrong every other time.
    assert risk_at(curve, 0.5) == pytest.approx(0.5 / 2)
    assert risk_at(curve, 1.0) == pytest.approx(0.5)


def test_metrics_of_the_same_rows_are_resampled_together():
    values = np.arange(40.0)
    spans = bootstrap_all(lambda rows: {"mean": mean(values[rows]), "twice": mean(2 * values[rows]), "never": None}, 40)
    assert list(spans) == ["mean", "twice"]
    assert spans["mean"] == bootstrap(lambda rows: mean(values[rows]), 40)
    assert spans["twice"] == tuple(2 * v for v in spans["mean"])
    assert bootstrap_all(lambda rows: {"mean": 1.0}, 0) == {}


ROWS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=40)


@unhurried
@given(ROWS, st.randoms(use_true_random=False))
def test_the_curve_starts_weak_ends_strong_and_ignores_order_and_scale(rows, random):
    needed, weak, strong = np.array(rows).T
    curve = cost_quality(needed, weak, strong)
    assert curve.quality[[0, -1]] == pytest.approx([weak.mean(), strong.mean()])
    assert (np.diff(curve.strong_share) > 0).all()
    random.shuffle(rows)
    again, w, s = np.array(rows).T
    other = cost_quality(np.exp(again), 1 + 9 * w, 1 + 9 * s)
    assert other.strong_share.tolist() == curve.strong_share.tolist()
    if strong.mean() > weak.mean() + 1e-9:
        assert apgr(other) == pytest.approx(apgr(curve))
        assert cpt(other, 0.5) == pytest.approx(cpt(curve, 0.5))
        # Ranked by the gain itself, no router does better; the other way round, none does worse.
        best, worst = apgr(cost_quality(strong - weak, weak, strong)), apgr(cost_quality(weak - strong, weak, strong))
        assert worst - 1e-9 <= apgr(curve) <= best + 1e-9
        assert best + worst == pytest.approx(1)
        assert 0 < cpt(curve, 0.5) <= cpt(curve, 0.8) <= 1


@unhurried
@given(st.lists(st.tuples(UNIT, st.booleans()), min_size=1, max_size=60))
def test_all_rows_kept_have_the_share_of_wrong_rows_as_risk(rows):
    confidence, right = np.array([c for c, _ in rows]), np.array([r for _, r in rows], bool)
    curve = risk_coverage(confidence, right)
    assert (curve.coverage[-1], curve.risk[-1]) == (1, pytest.approx(1 - right.mean()))
    assert all(0 <= risk_at(curve, share) <= 1 for share in (0.2, 0.5, 0.8))


@unhurried
@given(st.lists(st.tuples(UNIT, st.booleans()), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_ece_is_a_rate_and_ignores_the_order_of_rows(rows, random):
    def value():
        return ece(np.array([c for c, _ in rows]), np.array([r for _, r in rows], bool))

    before = value()
    assert 0 <= before <= 1
    random.shuffle(rows)
    assert value() == pytest.approx(before)


@unhurried
@given(arrays(float, st.integers(1, 30), elements=UNIT), arrays(float, st.integers(1, 30), elements=UNIT))
def test_auroc_is_a_rate_and_turns_round(positive, negative):
    value = auroc(positive, negative)
    assert 0 <= value <= 1
    assert auroc(negative, positive) == pytest.approx(1 - value)
    assert recall_when_keeping(positive, negative) <= recall_when_keeping(positive, negative, kept=0.5)


@unhurried
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_macro_f1_agrees_with_scikit_learn(pairs):
    from sklearn.metrics import f1_score

    truth, predicted = np.array(pairs).T
    assert macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro"))


@unhurried
@given(st.text(max_size=40), st.lists(st.text(max_size=40), min_size=1, max_size=3))
def test_f1_is_a_rate_that_no_exact_match_misses(text, answers):
    f1, em = token_f1(text, answers), exact_match(text, answers)
    assert em <= f1 <= 1
    assert token_f1(answers[0], answers) == 1.0
