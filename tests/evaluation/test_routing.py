from itertools import combinations

import numpy as np
import pytest

from core.errors import IndexFault, InputError, UnknownNameError
from evaluation.data import Labelled
from evaluation.routed import Routed, judge, no_obvious_words
from evaluation.routing import evaluate, folds
from graph.services import Services
from tests.evaluation.test_data import written

LABELS = ["car", "sleep", "out_of_scope"]


def test_metrics_of_a_router_by_hand():
    rows = [
        Labelled("my engine knocks", "car"),
        Labelled("it grinds when I stop", "car", ["near"]),
        Labelled("I keep lying there", "sleep"),
        Labelled("what is a nap", "sleep"),
        Labelled("weather in Rome", "out_of_scope", ["near"]),
    ]
    p = np.array([[0.9, 0.0, 0.1], [0.2, 0.1, 0.7], [0.1, 0.8, 0.1], [0.0, 1.0, 0.0], [0.1, 0.0, 0.9]])
    report = judge(rows, [Routed("similarity", LABELS, p, p.argmax(axis=1), [0.001, 0.002, 0.003, 0.004, 0.005])], "command")
    found = report.results[0]
    assert found.metrics == {
        "accuracy": 0.8,
        "macro_f1": pytest.approx((2 / 3 + 1 + 2 / 3) / 3, abs=1e-6),
        "in_scope_accuracy": 0.75,
        "recall.car": 0.5,
        "recall.sleep": 1.0,
        "recall.out_of_scope": 1.0,
        "recall.near": 0.5,
        # "it grinds when I stop" (wrong) and "I keep lying there" (right) name neither engine nor sleep.
        "recall.no_obvious_words": 0.5,
        "oos_auroc": 1.0,
        "oos_recall@95": 1.0,
        "ece": pytest.approx((0.1 + 0.7 + 0.2 + 0.0 + 0.1) / 5, abs=1e-6),
        "n.no_obvious_words": 2.0,
    }
    assert found.latency_ms == {"p50": 3.0, "p95": 4.8}
    assert report.wrong == [{"text": "it grinds when I stop", "label": "car", "predicted": "out_of_scope", "confidence": 0.7}]
    assert report.confusion.counts.tolist() == [[1, 0, 1], [0, 2, 0], [0, 0, 1]]


def test_a_router_that_has_not_learnt_out_of_scope_is_judged_by_how_unsure_it_is():
    rows = [Labelled("a", "x"), Labelled("b", "y"), Labelled("c", "out_of_scope")]
    p = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.5, 0.5, 0.0]])
    metrics = judge(rows, [Routed("similarity", ["x", "y", "out_of_scope"], p, p.argmax(axis=1), [])], "").results[0].metrics
    assert (metrics["oos_auroc"], metrics["recall.out_of_scope"]) == (1.0, 0.0)


def test_the_wrong_items_are_those_of_the_best_router():
    rows = [Labelled("a", "car"), Labelled("b", "sleep")]
    good, bad = np.array([[1.0, 0, 0], [1.0, 0, 0]]), np.array([[0, 1.0, 0], [1.0, 0, 0]])
    said = [Routed(name, LABELS, p, p.argmax(axis=1), []) for name, p in (("bad", bad), ("good", good))]
    report = judge(rows, said, "")
    assert [r.name for r in report.best_first] == ["good", "bad"]
    assert [w["text"] for w in report.wrong] == ["b"]


def test_obvious_words_are_compared_by_their_stems():
    assert no_obvious_words("I keep waking... no, lying there at 3", "car")
    assert not no_obvious_words("I keep waking at 3", "sleep")
    assert not no_obvious_words("worn tyres?", "car")
    assert no_obvious_words("it makes a grinding noise when I slow down", "car")


def test_the_shipped_router_on_its_own_test_utterances(own_experts):
    files = {label: own_experts.experts_dir / label / "utterances.csv" for label in ("bees", "tea")}
    files["out_of_scope"] = own_experts.experts_dir / "out_of_scope.csv"
    rows = {
        "bees": ["do wasps rob the hive", "my bees swarm"],
        "tea": ["how strong is oolong tea", "green tea leaves"],
        "out_of_scope": ["pop songs"],
    }
    for label, file in files.items():
        kept = [line for line in file.read_text().splitlines() if not line.endswith(",test")]
        file.write_text("\n".join([*kept, *(f"{text},test" for text in rows[label])]) + "\n")
    report = evaluate(Services(own_experts), "switchyard eval routing")
    assert (report.suite, report.n) == ("routing", 5)
    best, random, majority = (next(r for r in report.results if r.name == name) for name in ("similarity", "random", "majority"))
    assert best.metrics["accuracy"] == 1.0
    # Most of what the routers learn from is out of scope.
    assert (majority.metrics["accuracy"], majority.metrics["recall.out_of_scope"]) == (0.2, 1.0)
    assert [best.baseline, random.baseline, majority.baseline] == [False, True, True]
    assert best.latency_ms["p50"] > 0
    assert random.latency_ms == {"p50": None, "p95": None}


def test_the_policy_decides_for_the_shipped_router(tiny, tmp_path):
    path = written(tmp_path / "t.jsonl", {"text": "how long does green tea steep", "label": "tea"})
    tiny.__dict__["policy"] = tiny.policy.model_copy(update={"out_of_scope_at": 0.0, "look_below": 0.0})
    report = evaluate(tiny, "", test=path)
    assert report.results[0].metrics["accuracy"] == 0.0
    assert report.wrong[0]["predicted"] == "out_of_scope"


def test_a_training_file_makes_a_router_of_its_own(tiny, tmp_path):
    train = written(
        tmp_path / "train.jsonl",
        *({"text": text, "intent": "weather"} for text in ("will it rain today", "is it sunny tomorrow", "how cold is it outside")),
        *({"text": text, "intent": "music"} for text in ("play some jazz", "turn up the song", "play the album again")),
    )
    test = written(
        tmp_path / "test.jsonl",
        {"text": "will it be sunny outside", "intent": "weather"},
        {"text": "play the jazz song", "intent": "music"},
        {"text": "is it going to rain", "intent": "music"},
        {"text": "play an album", "intent": "music"},
    )
    report = evaluate(tiny, "", test=test, train=train, mapping={"label": "intent"})
    metrics = report.results[0].metrics
    assert (metrics["accuracy"], metrics["recall.weather"]) == (0.75, 1.0)
    assert metrics["recall.music"] == pytest.approx(2 / 3, abs=1e-6)
    assert [(w["text"], w["predicted"]) for w in report.wrong] == [("is it going to rain", "weather")]
    # Without out_of_scope rows there is nothing to tell apart.
    assert "oos_auroc" not in metrics


def test_foreign_labels_are_cross_validated(tiny, tmp_path):
    texts = {
        "pay": ["pay my bill", "pay the electricity bill", "pay the phone bill", "pay the water bill", "pay this bill now"],
        "joke": ["tell me a joke", "tell a funny joke", "another joke please", "tell me a good joke", "say a joke"],
    }
    path = written(tmp_path / "t.jsonl", *({"text": text, "label": label} for label, rows in texts.items() for text in rows))
    report = evaluate(tiny, "", test=path)
    assert report.results[0].metrics["accuracy"] == 1.0
    assert report.wrong == []
    assert report.results[0].latency_ms["p50"] > 0


def test_folds_hold_each_label_evenly():
    rows = [Labelled(f"text {n}", "a" if n < 10 else "b") for n in range(15)]
    found = folds(rows)
    assert sorted(found[:10].tolist()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert sorted(found[10:].tolist()) == [0, 1, 2, 3, 4]
    assert found.tolist() == folds(rows).tolist()


def test_a_text_that_stands_twice_is_never_learnt_from_where_it_is_judged():
    rows = [Labelled(text, "a" if n < 20 else "b") for n in range(40) for text in (f"Text {n}!", f"text {n}")]
    found = folds(rows).reshape(40, 2)
    assert (found[:, 0] == found[:, 1]).all()
    assert np.bincount(found[:, 0]).tolist() == [8] * 5


def test_what_cannot_be_used(own_experts, tiny, tmp_path):
    with pytest.raises(UnknownNameError, match=r"No router is called 'magic'\. Known: similarity"):
        evaluate(tiny, "", routers=["magic"])
    path = written(tmp_path / "t.jsonl", {"text": "a", "label": "x"}, {"text": "b", "label": "x"})
    with pytest.raises(InputError, match="at least two labels"):
        evaluate(tiny, "", test=path)
    for file in [*own_experts.experts_dir.glob("*/utterances.csv"), own_experts.experts_dir / "out_of_scope.csv"]:
        file.write_text("text,split\n")
    with pytest.raises(InputError, match="Expected utterances with the split `test`"):
        evaluate(Services(own_experts), "")


def test_all_routers_on_one_split(tiny, tmp_path):
    path = written(tmp_path / "t.jsonl", {"text": "how long does green tea steep", "label": "tea"}, {"text": "pop songs", "label": "oos"})
    report = evaluate(tiny, "", test=path, routers=["all"])
    assert [r.name for r in report.results] == ["similarity", "random", "majority"]
    assert [note.split(" is left out")[0] for note in report.notes] == ["logistic", "xgboost", "transformer"]
    assert all("Run: switchyard train router --kind" in note for note in report.notes)
    with pytest.raises(IndexFault, match=r"found none\. Run: switchyard train router --kind logistic"):
        evaluate(tiny, "", test=path, routers=["logistic"])


def test_several_kinds_learn_from_the_same_file(tiny, tmp_path):
    texts = {
        "weather": "rain sun snow wind hail fog",
        "music": "song album tune jazz choir band",
        "oos": "bread mountain shoe lamp river stone",
    }
    rows = [{"text": f"{a} {b}", "label": label} for label, words in texts.items() for a, b in combinations(words.split(), 2)]
    train = written(tmp_path / "train.jsonl", *rows)
    test = written(
        tmp_path / "test.jsonl", {"text": "jazz band album", "label": "music"}, {"text": "a stone in the river", "label": "oos"}, rows[0]
    )
    report = evaluate(tiny, "", test=test, train=train, routers=["similarity", "logistic", "majority"])
    assert [r.name for r in report.results] == ["similarity", "logistic", "majority", "random"]
    assert [r.metrics["accuracy"] for r in report.results[:2]] == [1.0, 1.0]
    assert [r.baseline for r in report.results] == [False, False, True, True]
    assert report.results[1].metrics["size_mb"] > 0
    assert report.results[1].latency_ms["p50"] > 0
    assert report.notes == ["1 of the texts stand in the training file too: the numbers flatter whoever learns by heart."]


def test_out_of_scope_rows_that_no_training_row_shows_are_told_by_how_unfamiliar_they_are(tiny, tmp_path):
    texts = {"weather": "rain sun snow wind hail fog", "music": "song album tune jazz choir band"}
    rows = [{"text": f"{a} {b}", "label": label} for label, words in texts.items() for a, b in combinations(words.split(), 2)]
    train = written(tmp_path / "train.jsonl", *rows)
    asked = [("jazz band album", "music"), ("snow and fog", "weather"), ("my tax return", "oos"), ("boil an egg", "oos")]
    test = written(tmp_path / "test.jsonl", *({"text": text, "label": label} for text, label in asked))
    report = evaluate(tiny, "", test=test, train=train, routers=["similarity", "logistic"])
    assert [r.metrics["oos_auroc"] for r in report.results[:2]] == [1.0, 1.0]
    assert [r.metrics["in_scope_accuracy"] for r in report.results[:2]] == [1.0, 1.0]
