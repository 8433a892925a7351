import numpy as np
import pytest

from evaluation.recommendation import Advised, best_single, evaluate, judge, quick
from evaluation.report import write
from evaluation.splits import Split
from graph.recommender import Measured
from llms.fake import ScriptedModel
from llms.prices import read_prices
from tests.evaluation.test_measured import written

ROWS = [
    {
        "prompt": f"what is {n} plus {n + 3}" if n % 2 else f"write a gentle poem about autumn leaf number {n}",
        "scores": {"sums": n % 2, "poet": 1 - n % 2, "middling": 0.6},
    }
    for n in range(160)
]
PRICES = "[sums]\ninput = 1\noutput = 1\n[poet]\ninput = 2\noutput = 2\n[middling]\ninput = 4\noutput = 4\n"


def measured(scores, costs):
    scores = np.array(scores, np.float64)
    return Measured([f"p{n}" for n in range(len(scores))], ["a", "b"], scores, np.array(costs, np.float64), np.full(scores.shape, np.nan))


def test_metrics_of_a_system_by_hand():
    judged = measured([[1, 0], [0, 1], [1, 1], [0, 0]], [[1, 2]] * 4)
    system = Advised("kernel", np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]), judged.costs, [0.001] * 3 + [0.003])
    single = Advised("best-single", np.tile([0.4, 0.6], (4, 1)), judged.costs, baseline=True)
    report = judge(judged, [system, single], "command")
    found = {r.name: r.metrics for r in report.results}
    assert found["kernel"] == {
        "quality": 0.75,
        "gain": 0.25,
        "gap_recovered": 1.0,
        "cost": 1_500.0,
        # From a alone (cost 1, quality 0.5) to both as needed (1.5, 0.75) or, where b is as good or bad, cheaper; here b is taken at last.
        "aiq": pytest.approx(0.5 * (0.5 + 0.75) / 2 + 0.5 * 0.75),
        "aiq_gain": pytest.approx(0.6875 - 0.5),
        "equal_cost_quality": 0.75,
        "cost_to_match": 0.5,
    }
    assert found["best-single"]["quality"] == 0.5
    assert found["best-single"]["cost"] == 2_000
    assert (found["oracle"]["quality"], found["oracle"]["cost"]) == (0.75, 1_250)
    assert found["random"] == {"quality": 0.5, "cost": 1_500, "aiq": None}
    assert report.results[0].latency_ms == {"p50": 1.0, "p95": 2.7}
    assert report.wrong == []
    assert report.tradeoff is not None
    assert report.tradeoff.models == {"a": (1.0, 0.5), "b": (2.0, 0.5)}


def test_mistakes_are_told_with_what_would_have_been_better():
    judged = measured([[1, 0], [0.4, 0.6], [0, 1]], [[1, 2]] * 3)
    system = Advised("kernel", np.tile([0.1, 0.9], (3, 1)), judged.costs)
    single = Advised("best-single", np.tile([0.4, 0.6], (3, 1)), judged.costs, baseline=True)
    assert judge(judged, [system, single], "").wrong == [
        {"prompt": "p0", "system": "kernel", "recommended": "b", "score": 0.0, "better": "a", "best_score": 1.0}
    ]


def test_without_prices_quality_alone_is_judged():
    judged = measured([[1, 0], [0, 1]], [[1, np.nan]] * 2)
    report = judge(judged, [Advised("best-single", np.tile([0.4, 0.6], (2, 1)), judged.costs, baseline=True)], "")
    found = {r.name: r.metrics for r in report.results}
    assert (found["best-single"]["quality"], found["best-single"]["cost"], found["best-single"]["aiq"]) == (0.5, None, None)
    assert report.tradeoff is None


def test_the_best_single_model_is_that_of_the_rows_that_were_learnt_from():
    whole = measured([[1, 0], [1, 0], [0, 1], [0, 1]], [[1, 2]] * 4)
    found = best_single(whole, [Split(np.array([2, 3]), np.array([0, 1])), Split(np.array([0, 1]), np.array([2, 3]))])
    assert found.qualities.argmax(axis=1).tolist() == [1, 1, 0, 0]


def test_every_quick_kind_beats_the_best_single_model_where_that_is_easy(tiny, tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    data = written(tmp_path / "d.jsonl", *ROWS, "{half")
    report = evaluate(tiny, "command", data, prices=read_prices(prices))
    found = {r.name: r for r in report.results}
    assert set(found) == {*quick(), "best-single", "oracle", "random"}
    assert found["best-single"].metrics["quality"] == pytest.approx(0.6)
    assert found["oracle"].metrics["quality"] == 1.0
    for kind in quick():
        assert found[kind].metrics["quality"] > 0.65, kind
        assert found[kind].interval["gain"][0] > 0, kind
    assert found["kernel"].metrics["quality"] > 0.95
    assert found["kernel"].metrics["cost_to_match"] < 0.5
    # As it is served: the worth of a dollar is that of the other rows, and here costs nothing of the quality.
    assert found["kernel"].metrics["policy_quality"] == pytest.approx(found["kernel"].metrics["quality"], abs=0.01)
    assert found["kernel"].metrics["policy_cost"] == pytest.approx(1.5 / 4, abs=0.05)
    assert found["kernel"].interval["policy_cost"][1] < 0.5
    assert "policy_cost" not in found["best-single"].metrics
    assert any(f"{data}, line 161" in note for note in report.notes)
    write([report], tmp_path / "report")
    assert (tmp_path / "report" / "recommendation-cost-quality.png").read_bytes().startswith(b"\x89PNG")


def test_a_training_file_is_learnt_from_without_the_judged_prompts(tiny, tmp_path):
    judged = written(tmp_path / "test.jsonl", *ROWS[:10])
    report = evaluate(tiny, "command", judged, train=written(tmp_path / "train.jsonl", *ROWS), kinds=["neighbours"])
    assert report.n == 10
    assert "Training rows left out because they share a prompt or a group with judged ones: 10." in report.notes
    metrics = next(r for r in report.results if r.name == "neighbours").metrics
    assert (metrics["quality"], metrics["policy_quality"]) == (1.0, 1.0)


def test_the_policy_is_judged_with_a_worth_that_the_judged_rows_have_no_part_in(tiny, tmp_path):
    """Learnt where the dear model is worth its price, judged where it is not: hindsight alone knows."""
    costs = {"cheap": 0.001, "dear": 0.01}
    learnt = [{"prompt": f"write poem {n}", "scores": {"cheap": 0.5, "dear": 0.9}, "costs": costs} for n in range(60)]
    judged = [{"prompt": f"write ode {n}", "scores": {"cheap": 0.9, "dear": 0.9}, "costs": costs} for n in range(20)]
    train = written(tmp_path / "train.jsonl", *learnt)
    report = evaluate(tiny, "command", written(tmp_path / "test.jsonl", *judged), train=train, kinds=["neighbours"])
    metrics = next(r for r in report.results if r.name == "neighbours").metrics
    assert metrics["cost_to_match"] == pytest.approx(0.1)
    assert metrics["policy_cost"] == pytest.approx(1.0)


@pytest.mark.parametrize(("reply", "quality"), [('{"sums": 0.9, "poet": 0.1, "middling": 0.2}', 0.5), ("well", None)])
def test_a_kind_that_asks_is_agreed_to_first_and_says_what_it_could_not_read(scripted, tmp_path, reply, quality):
    model = ScriptedModel(replies=[reply] * 40)
    services, agreed = scripted({"fake:judge": model}, inferior="fake:judge"), []
    data = written(tmp_path / "d.jsonl", *ROWS[:40])

    def agree(spec, judged):
        agreed.append((spec, len(judged.prompts), len(model.replies)))

    report = evaluate(services, "command", data, kinds=["llm"], agree=agree)
    assert agreed == [("fake:judge", 40, 40)]
    unread = [note for note in report.notes if "could not be read" in note]
    assert unread == ([] if quality else ["llm: 40 of 40 replies could not be read; the nearest prompts' means stand in for them."])
    metrics = next(r for r in report.results if r.name == "llm").metrics
    assert "policy_quality" not in metrics
    if quality:
        assert metrics["quality"] == quality
