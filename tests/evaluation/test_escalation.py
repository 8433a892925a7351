import numpy as np
import pytest

from core.errors import InputError, UnknownNameError
from evaluation.data import Pair
from evaluation.escalation import Decided, evaluate, judge
from evaluation.metrics import apgr
from tests.evaluation.test_data import written

# Long prompts need the superior model, short ones do not, but for every fifth; sums that do not hold are wrong.
HARD = "how many apples are left when {} of the {} trees in each of the {} gardens bear none and the rest bear twelve"
PAIRS = [
    {
        "prompt": HARD.format(n, n + 4, n + 7) if n % 2 else f"what is {n} and {n}",
        "weak_score": float((n % 2 == 0) != (n % 5 == 0)),
        "strong_score": 1,
        "weak_response": f"{n} + {n} = {2 * n if (n % 2 == 0) != (n % 5 == 0) else 2 * n + 3}. The answer is {2 * n}.",
        "topic": "even" if n % 2 == 0 else "odd",
    }
    for n in range(60)
]


def test_metrics_of_a_system_by_hand():
    scores = [(0, 1), (1, 1), (0, 1), (0, 0)]
    pairs = [Pair(f"p{n}", w, s, groups=["near"] if n < 2 else []) for n, (w, s) in enumerate(scores)]
    system = Decided("logistic", np.array([0.9, 0.8, 0.2, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]), [0.001, 0.001, 0.001, 0.003])
    report = judge(pairs, [system], "command", np.zeros(4, int))
    found = {r.name: r for r in report.results}
    assert found["logistic"].metrics == {
        # Areas of 1/4 each: 0 to 1/2, 1/2, 1/2 to 1, 1.
        "apgr": pytest.approx((0.25 + 0.5 + 0.75 + 1) / 4),
        "cpt50": pytest.approx(0.25),
        "cpt80": pytest.approx(0.65),
        "auroc": pytest.approx(3 / 4),
        "strong_share": 0.5,
        # The first row is won, the second was right anyway, the third is lost.
        "quality": 0.5,
        "apgr.near": pytest.approx(0.5 * 0.5 + 0.5),
    }
    assert found["logistic"].latency_ms == {"p50": 1.0, "p95": 2.7}
    assert report.wrong == [{"prompt": "p2", "system": "logistic", "needed": 0.2, "weak_score": 0, "strong_score": 1}]
    assert {name: r.baseline for name, r in found.items()} == {
        "logistic": False,
        "random": True,
        "always-inferior": True,
        "always-superior": True,
        "oracle": True,
    }
    values = {name: [r.metrics[m] for m in ("apgr", "cpt50", "cpt80", "auroc", "strong_share", "quality")] for name, r in found.items()}
    assert values["random"] == [0.5, 0.5, 0.8, 0.5, 0.5, 0.5]
    assert values["always-inferior"] == [None, None, None, None, 0.0, 0.25]
    assert values["always-superior"] == [None, None, None, None, 1.0, 0.75]
    assert values["oracle"] == [0.75, 0.25, 0.4, 1.0, 0.5, 0.75]


def test_rows_are_ranked_within_their_fold():
    # In each fold the order is perfect, but the second one's scores are all lower.
    pairs = [Pair("a", 0, 1), Pair("b", 1, 1), Pair("c", 0, 1), Pair("d", 1, 1)]
    system = Decided("x", np.array([0.9, 0.8, 0.2, 0.1]), np.zeros(4))
    reports = [judge(pairs, [system], "", np.array(folds)) for folds in ([0, 0, 1, 1], [0, 0, 0, 0])]
    apart, pooled = (report.results[0].metrics for report in reports)
    assert apgr(reports[0].cost_quality["x"]) == pytest.approx(0.75)
    assert (apart["apgr"], apart["auroc"], apart["cpt80"]) == (pytest.approx(0.75), 1.0, pytest.approx(0.4))
    assert (pooled["apgr"], pooled["auroc"]) == (pytest.approx((0.25 + 0.5 + 0.75 + 1) / 4), 0.75)


def test_of_several_divisions_the_mean_counts():
    pairs = [Pair("a", 0, 1), Pair("b", 1, 1), Pair("c", 0, 1), Pair("d", 1, 1)]
    right, wrong, one_fold = [0.9, 0.1, 0.9, 0.1], [0.1, 0.9, 0.1, 0.9], [0, 0, 0, 0]
    system = Decided("x", np.array([right, wrong]), np.array([1.0, 0.0, 0.5, 0.0]))
    found = judge(pairs, [system], "", np.array([one_fold, one_fold])).results[0].metrics
    assert (found["apgr"], found["auroc"], found["strong_share"]) == (pytest.approx(0.5), 0.5, 0.375)


def test_the_costliest_mistakes_come_first_and_are_the_best_systems():
    pairs = [Pair(name, w, 1) for name, w in (("a", 0), ("b", 0), ("c", 1), ("d", 0), ("e", 1))]
    good = Decided("good", np.array([0.9, 0.3, 0.2, 0.4, 0.1]), np.array([1.0, 0, 0, 0, 0]))
    bad = Decided("bad", np.array([0.1, 0.3, 0.9, 0.2, 0.8]), np.zeros(5))
    report = judge(pairs, [bad, good], "", np.zeros(5, int))
    assert [(w["prompt"], w["system"]) for w in report.wrong] == [("b", "good"), ("d", "good")]
    assert {r.name for r in report.best_first[:2]} == {"oracle", "good"}


def test_all_baselines_alone_are_no_error():
    report = judge([Pair("a", 1, 0), Pair("b", 1, 1)], [], "", np.zeros(2, int))
    assert {r.name: r.metrics["apgr"] for r in report.results} == dict.fromkeys(["random", "always-inferior", "always-superior", "oracle"])


def test_difficulty_is_learnt_and_the_answer_seen_tells_more(tiny, tmp_path):
    path = written(tmp_path / "p.jsonl", *PAIRS)
    report = evaluate(tiny, "command", path, kinds=["length", "logistic", "length"])
    found = {r.name: r for r in report.results}
    assert list(found) == ["length", "logistic", "answer-seen", "random", "always-inferior", "always-superior", "oracle"]
    assert (found["length"].baseline, found["logistic"].baseline) == (True, False)
    assert found["random"].metrics["apgr"] == 0.5 < found["length"].metrics["apgr"]
    assert found["oracle"].metrics["apgr"] >= found["answer-seen"].metrics["apgr"] > 0.5
    assert found["logistic"].latency_ms["p50"] > 0
    # Without a target the policy never sends a prompt straight to the superior model.
    assert found["length"].metrics["strong_share"] == 0
    again = evaluate(tiny, "command", path, kinds=["length"])
    same = ("length", "answer-seen", "oracle")
    assert [(r.metrics, r.interval) for r in again.results if r.name in same] == [(found[n].metrics, found[n].interval) for n in same]


def test_the_policys_threshold_decides(tiny, tmp_path):
    tiny.__dict__["policy"] = tiny.policy.model_copy(update={"superior_at": 0.0, "accept_at": 0.0})
    report = evaluate(tiny, "", written(tmp_path / "p.jsonl", *PAIRS[:20]), kinds=["length"])
    found = {r.name: r.metrics["strong_share"] for r in report.results}
    assert (found["length"], found["answer-seen"]) == (1.0, 0.0)


def test_groups_stay_together_and_a_training_file_is_used(tiny, tmp_path):
    plain = [{k: v for k, v in row.items() if k != "weak_response"} for row in PAIRS]
    test, train = written(tmp_path / "p.jsonl", *plain[:20]), written(tmp_path / "t.jsonl", *plain[18:])
    report = evaluate(tiny, "", test, train=train, kinds=["length"])
    assert "answer-seen" not in {r.name for r in report.results}
    assert report.notes == ["Training rows left out because they share a prompt or a group with judged ones: 2."]
    # Fitted on the one topic and judged on the other, length is of no use.
    mixed, apart = (
        evaluate(tiny, "", written(tmp_path / "all.jsonl", *plain), group=group, kinds=["length"]).results[0].metrics["auroc"]
        for group in (None, "topic")
    )
    assert mixed > 0.7 > 0.55 > apart


def test_what_cannot_be_used(tiny, tmp_path):
    path = written(tmp_path / "p.jsonl", *PAIRS)
    with pytest.raises(UnknownNameError, match=r"No difficulty router is called 'magic'\. Known: length, logistic"):
        evaluate(tiny, "", path, kinds=["magic"])
    same = written(tmp_path / "s.jsonl", *({"prompt": f"p {n}", "weak_score": 1, "strong_score": 1} for n in range(9)))
    with pytest.raises(InputError, match="nothing to learn"):
        evaluate(tiny, "", same, kinds=["length"])
    with pytest.raises(InputError, match=r"line 1: .*--group names the column 'subject'"):
        evaluate(tiny, "", path, group="subject")
