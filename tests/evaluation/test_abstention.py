import json

import numpy as np
import pytest

from core.errors import InputError
from core.types import Passage
from evaluation.abstention import best_threshold, judge, read
from evaluation.evidence import Posed, of_corpus, of_experts, of_file
from evaluation.results import silent
from tests.evaluation.test_data import written

CITIES = [
    {"_id": "oslo1", "title": "Oslo", "text": "Oslo is the capital of Norway."},
    {"_id": "oslo2", "title": "Oslo", "text": "Norway's parliament sits beside a park of the capital."},
    {"_id": "oslo3", "title": "Oslo", "text": "Many call Oslo the capital of the north of Norway."},
    {"_id": "rome1", "title": "Rome", "text": "Rome is the capital of Italy, and not of Norway."},
]
TEAS = [{"_id": "t1", "title": "Tea", "text": "Norway drinks coffee rather than tea."}, {"_id": "t2", "text": "Green tea steeps in Oslo."}]
ASKED = {"qid": "1", "question": "What is the capital of Norway?", "passage_id": "oslo1", "answers": ["Oslo"]}


class Scripted:
    """Says what it was told of the first passage's text."""

    def __init__(self, scores):
        self.scores = scores

    def answers(self, question, passages):
        return self.scores[passages[0]["text"]] if passages else 0.0


def posed(text, answerable, *groups, question="apples and pears"):
    return Posed(question, [Passage(text, "", text, "")], answerable, list(groups))


def test_metrics_by_hand(encoder):
    rows = [posed("a", True, "own"), posed("b", True, "own"), posed("c", False, "near"), posed("d", False, "other")]
    scores = {"a": 0.9, "b": 0.3, "c": 0.6, "d": 0.1}
    report = judge(read(Scripted(scores), 0.5, rows), encoder, rows, "command")
    found = next(r for r in report.results if r.name == "reader")
    assert not found.baseline
    assert {name: found.metrics[name] for name in ("auroc", "abstain_accuracy", "refused", "answered")} == {
        "auroc": 0.75,
        "abstain_accuracy": 0.5,
        "refused": 0.5,
        "answered": 0.5,
    }
    # A group of one kind is told from all rows of the other kind.
    assert [found.metrics[f"auroc.{group}"] for group in ("own", "near", "other")] == [0.75, 0.5, 1.0]
    assert (found.metrics["refused.near"], found.metrics["refused.other"]) == (0.0, 1.0)
    assert "refused.own" not in found.metrics
    assert (found.metrics["answered.own"], found.metrics["threshold"]) == (0.5, 0.5)
    # Surest first: 0.3 is farther from the threshold than 0.6.
    assert [(w["passages"], w["answerable"], w["score"]) for w in report.wrong] == [(["b"], True, 0.3), (["c"], False, 0.6)]
    assert {r.name: r.metrics["auroc"] for r in report.results if r.name in ("majority", "random")} == {"majority": 0.5, "random": 0.5}
    majority = next(r for r in report.results if r.name == "majority")
    assert (majority.metrics["refused"], majority.metrics["answered"]) == (0.0, 1.0)
    assert next(r for r in report.results if r.name == "random").metrics["abstain_accuracy"] == 0.5
    assert report.risk_coverage["reader"].risk.tolist() == [0.0, 0.5, pytest.approx(1 / 3), 0.5]


def test_baselines_see_words_and_meaning(encoder):
    rows = [posed("apples or pears", True), posed("trains", False)] * 20
    report = judge(read(Scripted({"apples or pears": 0.0, "trains": 1.0}), 0.5, rows), encoder, rows, "")
    assert {r.name: (r.metrics["auroc"], r.metrics["abstain_accuracy"]) for r in report.results} == {
        "best-cosine": (1.0, 1.0),
        "word-overlap": (1.0, 1.0),
        "majority": (0.5, 0.5),
        "random": (0.5, 0.5),
        "reader": (0.0, 0.0),
    }


def test_one_kind_only_gives_no_nan(encoder):
    rows = [posed("a", False), Posed("q", [], False, [])]
    report = judge(read(Scripted({"a": 0.2}), 0.5, rows), encoder, rows, "")
    found = next(r for r in report.results if r.name == "reader")
    assert (found.metrics["auroc"], found.metrics["answered"], found.metrics["refused"]) == (None, None, 1.0)
    assert "NaN" not in json.dumps(report.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("scores", "answerable", "threshold"),
    [([0.9, 0.8, 0.1], [True, True, False], 0.8), ([0.9, 0.1], [False, False], np.inf), ([], [], np.inf), ([0.5, 0.5], [True, False], 0.5)],
)
def test_the_best_threshold(scores, answerable, threshold):
    assert best_threshold(np.array(scores, float), np.array(answerable, bool)) == threshold


def test_a_file(tmp_path):
    path = written(
        tmp_path / "a.jsonl",
        {"q": "Where?", "passages": ["Here.", {"title": "T", "text": "There."}], "answerable": True, "group": "x"},
        {"q": "When?", "passages": [], "answerable": 0},
    )
    first, second = of_file(path, {"question": "q"})
    assert [(p.title, p.text) for p in first.passages] == [("", "Here."), ("T", "There.")]
    assert (first.answerable, first.groups, second.answerable, second.passages) == (True, ["x"], False, [])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q", "answerable": True}, "line 1: expected .* 'passages' is missing"),
        ({"question": "q", "passages": "text", "answerable": True}, "'passages' is no list"),
        ({"question": "q", "passages": ["a", {"title": "t"}], "answerable": True}, "passage 2 is neither a text nor"),
        ({"question": "q", "passages": ["a"], "answerable": "maybe"}, "neither true nor false"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        of_file(written(tmp_path / "a.jsonl", row), {})


def pairs(tmp_path, encoder, count, against=True):
    files = [written(tmp_path / f"{name}.jsonl", *rows) for name, rows in (("c", CITIES), ("q", [ASKED]), ("t", TEAS))]
    found = of_corpus(encoder, files[0], files[1], files[2] if against else None, count, {}, silent)
    return {p.groups[0]: ([q.id for q in p.passages], p.answerable) for p in found}


def test_pairs_from_a_corpus(tmp_path, encoder):
    # oslo3 and t2 hold the answer; rome1 is another title, and shares more words than oslo2.
    assert pairs(tmp_path, encoder, 1) == {"own": (["oslo1"], True), "near": (["oslo2"], False), "other": (["t1"], False)}
    assert pairs(tmp_path, encoder, 2, against=False)["near"] == (["oslo2", "rome1"], False)
    assert set(pairs(tmp_path, encoder, 2, against=False)) == {"own", "near"}
    own, answerable = pairs(tmp_path, encoder, 3)["own"]
    assert (set(own), answerable) == ({"oslo1", "oslo2", "rome1"}, True)


def test_the_experts_own_questions_in_three_ways(tiny):
    from experts.discovery import Item
    from retrieval.text import contains_key

    found, left_out = of_experts(tiny, silent)
    items: dict[str, Item] = {i.question: i for e in tiny.experts.values() for i in e.questions("test")}
    assert len(found) == 3 * (6 - left_out)
    kinds = [p.groups[0] for p in found[:3]]
    assert kinds == ["own", "withheld", "wrong-expert"]
    for p in found:
        key = items[p.question].key
        assert p.answerable == (p.groups[0] == "own") == any(contains_key(passage.text, key) for passage in p.passages)
    withheld = [(p.question, passage.document) for p in found if p.groups[0] == "withheld" for passage in p.passages]
    assert [document for question, document in withheld if document == items[question].document] == []


def test_without_test_questions(own_experts):
    from graph.services import Services

    for file in own_experts.experts_dir.glob("*/questions.csv"):
        file.unlink()
    with pytest.raises(InputError, match="Expected questions with the split `test`"):
        of_experts(Services(own_experts), silent)


def test_without_a_fact_that_is_found(own_experts):
    from graph.services import Services

    for file in own_experts.experts_dir.glob("*/questions.csv"):
        file.write_text("question,answer,key,document,split\nWhen?,Never.,at no time whatever,none,test\n")
    with pytest.raises(InputError, match="Expected test questions whose key fact is found"):
        of_experts(Services(own_experts), silent)
