import math

import numpy as np
import pytest

from core.errors import InputError
from evaluation.confidence import Outcomes, Sure, evaluate, judge
from evaluation.metrics import Bin
from graph.services import Services
from tests.evaluation.test_data import written

# Sums that hold are right; the log-probabilities know nothing of it.
JUDGED = [
    {
        "prompt": f"what is {n} plus {n + 1}",
        "response": f"{n} + {n + 1} = {2 * n + 1 + 4 * (n % 3 == 0)}. The answer is {2 * n + 1 + 4 * (n % 3 == 0)}.",
        "correct": n % 3 != 0,
        "token_logprobs": [-0.1 - (n % 4) / 10, -0.2],
    }
    for n in range(10, 70)
]


def outcomes(right, groups=None, folds=None):
    shown = [{"question": f"q{n}"} for n in range(len(right))]
    return Outcomes(np.array(right, bool), groups or [[]] * len(right), shown, np.array(folds or [0] * len(right)))


def test_metrics_of_a_confidence_by_hand():
    system = Sure("confidence", np.array([0.9, 0.8, 0.6, 0.2]), [0.001, 0.001, 0.001, 0.003])
    report = judge(outcomes([1, 0, 1, 0], [["own"], ["own"], [], []]), [system], "command")
    found = report.results[0]
    assert found.metrics == {
        "auroc": 0.75,
        "accuracy": 0.75,
        "risk@50": 0.5,
        "risk@80": pytest.approx((1 + 0.2) / 3.2, abs=1e-6),
        "ece": pytest.approx((0.1 + 0.8 + 0.4 + 0.2) / 4),
        "right": 0.5,
        "auroc.own": 1.0,
        "ece.own": pytest.approx((0.1 + 0.8) / 2),
        "right.own": 0.5,
    }
    assert set(found.interval) == {"auroc", "accuracy", "risk@50", "risk@80"}
    assert found.latency_ms == {"p50": 1.0, "p95": 2.7}
    assert report.wrong == [{"question": "q1", "confidence": 0.8}]
    assert report.reliability == [Bin(0.2, 0.0, 1), Bin(0.6, 1.0, 1), Bin(0.8, 0.0, 1), Bin(0.9, 1.0, 1)]
    assert report.risk_coverage["confidence"].risk.tolist() == [0, 0.5, pytest.approx(1 / 3), 0.5]


def test_the_coin_knows_nothing():
    random = judge(outcomes([1, 0, 1, 1]), [Sure("confidence", np.full(4, 0.9))], "").results[-1]
    assert (random.name, random.baseline) == ("random", True)
    assert [random.metrics[m] for m in ("auroc", "accuracy", "risk@50", "ece")] == [0.5, 0.75, 0.25, 0.25]


def test_the_gain_over_the_mean_log_probability_has_an_interval_of_its_own():
    right = [1, 0] * 10
    said = [Sure("confidence", np.array(right, float)), Sure("logprob-mean", np.array([0.5, 0.5] * 10), baseline=True)]
    found = judge(outcomes(right), said, "").results
    assert (found[0].metrics["auroc_gain"], found[0].interval["auroc_gain"]) == (0.5, (0.5, 0.5))
    assert "auroc_gain" not in found[1].metrics


def test_rows_are_ranked_within_their_fold():
    system = Sure("confidence", np.array([0.9, 0.8, 0.2, 0.1]))
    assert judge(outcomes([1, 0, 1, 0], folds=[0, 0, 1, 1]), [system], "").results[0].metrics["auroc"] == 1.0


def test_the_surest_wrong_answers_come_first():
    report = judge(outcomes([0, 0, 0, 1]), [Sure("confidence", np.array([0.6, 0.4, 0.9, 0.3]))], "")
    assert [w["question"] for w in report.wrong] == ["q2", "q0"]


def test_a_file_of_judged_responses(tiny, tmp_path):
    path = written(tmp_path / "j.jsonl", *JUDGED)
    report = evaluate(tiny, "command", path)
    found = {r.name: r for r in report.results}
    assert list(found) == ["confidence", "logprob-mean", "length", "random"]
    assert [r.baseline for r in found.values()] == [False, True, True, True]
    # Wrong sums are wrong answers.
    assert found["confidence"].metrics["auroc"] > 0.95
    assert found["confidence"].metrics["auroc_gain"] == pytest.approx(
        found["confidence"].metrics["auroc"] - found["logprob-mean"].metrics["auroc"], abs=1e-6
    )
    assert found["confidence"].latency_ms["p50"] > 0
    again = evaluate(tiny, "command", path)
    assert [(r.metrics, r.interval) for r in again.results] == [(r.metrics, r.interval) for r in report.results]


def test_the_mean_log_probability_is_the_geometric_mean_of_the_tokens(tiny, tmp_path):
    rows = [row | {"token_logprobs": [math.log(p), math.log(p)] if p else []} for row, p in zip(JUDGED, [0.25, 0] * 30, strict=True)]
    report = evaluate(tiny, "", written(tmp_path / "j.jsonl", *rows))
    curve = report.risk_coverage["logprob-mean"]
    # Half of the rows say 0.25; a response without tokens says 0.
    assert curve.coverage.tolist() == [0.5, 1.0]
    found = next(r for r in report.results if r.name == "logprob-mean")
    assert found.metrics["accuracy"] == pytest.approx(1 - 40 / 60, abs=1e-6)


def test_without_log_probabilities_there_is_no_such_baseline(tiny, tmp_path):
    rows = [{k: v for k, v in row.items() if k != "token_logprobs"} for row in JUDGED]
    test, train = written(tmp_path / "j.jsonl", *rows[:20]), written(tmp_path / "t.jsonl", *rows[19:])
    report = evaluate(tiny, "", test, train=train)
    assert [r.name for r in report.results] == ["confidence", "length", "random"]
    assert (report.n, report.notes) == (20, ["Training rows left out because they share a prompt or a group with judged ones: 1."])


def test_the_experts_own_questions_in_three_kinds_of_cases(tiny):
    report = evaluate(tiny, "switchyard eval confidence")
    # Six questions: as they are, with their document withheld, and asked of the one other expert.
    assert report.n == 18
    system, before, random = report.results
    assert (system.name, before.name, random.name) == ("confidence", "before-answer", "random")
    assert system.metrics["right.own"] > system.metrics["right.wrong-expert"] == 0.0
    assert system.metrics["ece.own+wrong-expert"] is not None
    assert system.metrics["auroc"] > 0.8
    assert all(list(w) == ["question", "asked", "group", "answer", "confidence"] for w in report.wrong)


def test_what_cannot_be_used(own_experts, tiny, tmp_path):
    path = written(tmp_path / "j.jsonl", *(row | {"correct": True} for row in JUDGED))
    with pytest.raises(InputError, match="right ones and wrong ones"):
        evaluate(tiny, "", path)
    for file in own_experts.experts_dir.glob("*/questions.csv"):
        file.write_text("question,answer,key,document,split\n")
    with pytest.raises(InputError, match="Expected questions with the split `test`"):
        evaluate(Services(own_experts), "")
