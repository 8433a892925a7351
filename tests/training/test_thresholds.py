"""Thresholds from targets: what is chosen, and that a promised risk is kept."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from graph.policy import Policy, load_policy
from training.thresholds import (
    Calibration,
    Chosen,
    Target,
    choose,
    for_budget,
    for_risk,
    for_share,
    interval,
    learn_then_test,
    new_policy,
    parse,
    read_candidates,
    upper_bound,
    write_policy,
)

BASE = Policy(out_of_scope_at=0.2, both_at=0.1, accept_at=0.5, retry_at=0.3, answer_at=0.2, stream_at=0.8, safety_at=0.4)
REPEATS, DELTA = 400, 0.1
SLACK = 3 * np.sqrt(DELTA * (1 - DELTA) / REPEATS)
"""Three standard errors of a share of DELTA in REPEATS draws."""


def data(confidence: list[float], right: list[bool], weak: float = 0.0, strong: float = 0.0) -> Calibration:
    n = len(right)
    return Calibration(np.array(confidence, float), np.array(right, bool), np.full(n, weak), np.full(n, strong))


TEN = data([n / 10 for n in range(10)], [n > 3 for n in range(10)], weak=0.001, strong=0.01)


@pytest.mark.parametrize(
    ("text", "delta", "target"),
    [
        ("superior-share=0.3", None, Target("superior-share", 0.3, 0.1)),
        ("max-risk=.05", 0.2, Target("max-risk", 0.05, 0.2)),
        ("max-risk=.05", None, Target("max-risk", 0.05, 0.1)),
        ("budget=0.002", None, Target("budget", 0.002, 0.1)),
    ],
)
def test_a_target_is_read(text: str, delta: float | None, target: Target) -> None:
    assert parse(text, delta) == target


@pytest.mark.parametrize("text", ["", "0.3", "speed=1", "max-risk", "max-risk=", "max-risk=low", "budget=nan", "budget=inf"])
def test_another_target_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^Expected --target superior-share=0\.3, max-risk=0\.05 or budget=0\.002; got"):
        parse(text, 0.1)


@pytest.mark.parametrize(
    ("text", "delta", "message"),
    [("max-risk=0", 0.1, "between 0 and 1"), ("superior-share=1", None, "between 0 and 1"), ("budget=-1", None, "at least 0 USD"),
     ("budget=1", 0.1, "--delta with --target max-risk alone"),
     ("max-risk=0.1", 0.0, "--delta between 0 and 1"), ("max-risk=0.1", 1.0, "--delta between 0 and 1")],
)  # fmt: skip
def test_a_target_out_of_range_is_refused(text: str, delta: float | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text, delta)


@pytest.mark.parametrize(("share", "accept_at", "asked"), [(0.3, 0.3, 3), (0.05, 0.0, 0), (0.99, 0.9, 9)])
def test_a_share_of_the_questions_goes_to_the_superior_model(share: float, accept_at: float, asked: int) -> None:
    chosen = for_share(TEN, share)
    assert chosen.accept_at == accept_at
    assert chosen.guarantee.startswith(f"{asked} of 10 questions went to the superior model")


def test_equal_confidences_never_exceed_the_share() -> None:
    assert for_share(data([0.5] * 10, [True] * 10), 0.3).accept_at == 0.5


@pytest.mark.parametrize(("budget", "accept_at"), [(0.001, 0.0), (0.0045, 0.3), (1.0, 1.0)])
def test_a_budget_is_spent_on_the_least_confident(budget: float, accept_at: float) -> None:
    assert for_budget(TEN, budget).accept_at == accept_at


def test_a_budget_below_the_inferior_models_price_is_refused() -> None:
    with pytest.raises(InputError, match=r"alone costs 0\.001000 USD a question: no threshold keeps a budget of 0\.0005"):
        for_budget(TEN, 0.0005)


def test_a_budget_needs_prices() -> None:
    with pytest.raises(InputError, match=r"one is unknown\. Add it to prices\.toml"):
        for_budget(data([0.5], [True], strong=np.nan), 1.0)


def test_no_questions_no_threshold() -> None:
    with pytest.raises(InputError, match="split `test`"):
        choose(parse("max-risk=0.1", 0.1), data([], []), [0.5], 0.0)


def world(rng: np.random.Generator, n: int, shape: str) -> Calibration:
    """Confidence with a known relation to what is right: honest, boastful (right with p^2 only), or higher where it is more often wrong."""
    p = rng.beta(6, 1, n)
    truth = {"honest": p, "boastful": p**2, "perverse": np.where(p > 0.95, 0.85, 0.99)}[shape]
    return Calibration(p, rng.random(n) < truth, np.zeros(n), np.zeros(n))


def plain(found: Calibration, risk: float) -> float | None:
    """The lowest threshold whose risk on the very data is small enough: no promise."""
    order = np.argsort(-found.confidence)
    risks = np.cumsum(~found.right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(risks <= risk)
    return float(found.confidence[order][good[-1]]) if len(good) else None


def broken(shape: str, by: str) -> tuple[float, float]:
    """(share of draws whose threshold has a higher risk than 0.1, share of draws with a threshold at all)."""
    others, real = world(np.random.default_rng(1), 700, shape), world(np.random.default_rng(2), 100_000, shape)
    candidates = [float(np.quantile(others.confidence, 1 - n / 20)) for n in range(1, 21)]
    rng, failed, found = np.random.default_rng(3), 0, 0
    for _ in range(REPEATS):
        drawn = world(rng, 300, shape)
        threshold = learn_then_test(drawn, 0.1, DELTA, candidates) if by == "test" else plain(drawn, 0.1)
        if threshold is not None:
            found += 1
            failed += (~real.right[real.confidence >= threshold]).mean() > 0.1
    return failed / REPEATS, found / REPEATS


@pytest.mark.parametrize("shape", ["honest", "boastful", "perverse"])
def test_the_promise_is_kept_whatever_the_scores_are_worth(shape: str) -> None:
    assert broken(shape, "test")[0] <= DELTA + SLACK


def test_the_promise_can_be_made() -> None:
    assert broken("honest", "test")[1] > 0.5


@pytest.mark.parametrize("shape", ["honest", "boastful"])
def test_a_plain_threshold_would_break_it(shape: str) -> None:
    assert broken(shape, "plain")[0] > 3 * DELTA


def test_the_test_goes_down_until_it_cannot_reject() -> None:
    sure = data([0.9] * 60 + [0.5] * 60 + [0.1] * 60, [True] * 119 + [False] * 61)
    assert learn_then_test(sure, 0.1, 0.1, [0.9, 0.5, 0.1]) == 0.5
    assert learn_then_test(sure, 0.1, 0.1, [0.1, 0.5, 0.9]) is None


def test_what_cannot_be_promised_is_said_with_what_can() -> None:
    few = data([0.9] * 20, [True] * 20)
    with pytest.raises(
        InputError, match=r"0\.05 cannot be promised with delta 0\.1 on 20 questions; the smallest risk that can is about 0\.110"
    ):
        for_risk(few, 0.05, 0.1, [0.9])
    assert for_risk(few, 0.11, 0.1, [0.9]).accept_at == 0.9
    with pytest.raises(InputError, match="no risk can"):
        for_risk(data([0.9], [False]), 0.05, 0.1, [0.9])


@pytest.mark.parametrize(("answer_at", "accept_at"), [(0.0, 0.2), (0.6, 0.6), (0.95, 0.95)])
def test_a_risk_never_answers_below_what_the_policy_does(answer_at: float, accept_at: float) -> None:
    sure = data([0.99] * 60 + [0.7] * 60 + [0.2] * 10, [True] * 130)
    assert choose(Target("max-risk", 0.1, 0.1), sure, [0.9, 0.5, 0.2], answer_at).accept_at == accept_at


def test_the_promise_is_stated_with_its_numbers() -> None:
    words = for_risk(data([0.9] * 60, [True] * 59 + [False]), 0.1, 0.1, [0.9]).guarantee
    for part in (
        "at most 0.1 are wrong",
        "probability at least 0.9",
        "delta 0.1",
        "n = 60 questions: 60 given, 1 wrong, upper bound 0.0633",
        "Questions that the documents do not answer, and answers of the superior model, are not covered.",
    ):
        assert part in words


def test_bounds_are_the_exact_binomial_ones() -> None:
    assert upper_bound(0, 45, 0.1) == pytest.approx(1 - 0.1 ** (1 / 45))
    assert upper_bound(5, 5, 0.1) == 1.0
    assert interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert interval(3, 10) == pytest.approx((0.0667, 0.6525), abs=1e-4)


def test_a_risk_holds_on_every_rung() -> None:
    policy = new_policy(BASE, BASE, Target("max-risk", 0.05, 0.1), Chosen(0.87, "Kept."), "dev", "c0")
    assert (policy.accept_at, policy.answer_at, policy.stream_at, policy.retry_at) == (0.87, 0.87, 1.0, 0.0)
    said = policy.target, policy.data, policy.guarantee, policy.confidence
    assert said == ("max-risk=0.05 --delta 0.1", "dev", "Kept.", "c0")
    assert policy.safety_at == BASE.safety_at


@pytest.mark.parametrize(("accept_at", "answer_at"), [(0.6, 0.2), (0.1, 0.1)])
def test_a_share_leaves_the_last_rung_but_never_above_the_first(accept_at: float, answer_at: float) -> None:
    policy = new_policy(BASE, BASE, Target("superior-share", 0.3, 0.1), Chosen(accept_at, ""), "", "c0")
    assert (policy.accept_at, policy.answer_at, policy.stream_at) == (accept_at, answer_at, 0.8)


def test_a_new_target_takes_back_what_an_earlier_one_decided() -> None:
    strict = new_policy(BASE, BASE, Target("max-risk", 0.05, 0.1), Chosen(0.87, "Kept."), "dev", "c0")
    policy = new_policy(strict, BASE, Target("superior-share", 0.3, 0.1), Chosen(0.6, "Said."), "dev", "c0")
    assert (policy.accept_at, policy.answer_at, policy.stream_at, policy.guarantee) == (0.6, 0.2, 0.8, "Said.")


def test_what_the_user_wrote_by_hand_stays() -> None:
    own = BASE.model_copy(update={"answer_at": 0.45, "stream_at": 0.99})
    policy = new_policy(own, BASE, Target("superior-share", 0.3, 0.1), Chosen(0.6, ""), "", "c0")
    assert (policy.answer_at, policy.stream_at) == (0.45, 0.99)


def test_a_written_policy_is_the_users(tmp_path: Path) -> None:
    policy = new_policy(BASE, BASE, Target("budget", 0.002, 0.1), Chosen(0.4, 'Said "so", é.'), "back\\slash", "c0")
    write_policy(policy, tmp_path / "home" / "policy.toml")
    assert load_policy(tmp_path / "home", tmp_path) == policy
    assert tomllib.loads((tmp_path / "home" / "policy.toml").read_text(encoding="utf-8"))["target"] == "budget=0.002"
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["policy.toml"]


@pytest.mark.parametrize("content", [None, "{}", "[]", '{"shares": ["x"]}', '{"shares": 3}'])
def test_weights_without_shares_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "weights.json").write_text(content)
    with pytest.raises(InputError, match="switchyard train confidence"):
        read_candidates(tmp_path / "weights.json")
