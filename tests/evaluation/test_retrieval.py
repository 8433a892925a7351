from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import InputError
from core.types import Passage
from evaluation.data import Query
from evaluation.retrieval import ask, evaluate, judge, rerank, two_fold_weights
from retrieval.index import assemble
from tests.evaluation.test_data import written

TOPICS = ["apples pears plums", "trains rails stations", "violins cellos flutes", "rivers lakes seas", "hammers nails saws"]
CORPUS = [{"_id": f"p{n}", "title": f"part {n}", "text": f"{topic}."} for n, topic in enumerate(TOPICS)]


@pytest.fixture
def index(encoder):
    return assemble([Passage(row["_id"], row["title"], row["text"], "", row["_id"]) for row in CORPUS], encoder)


class Backwards:
    """A reader that puts the last passage first."""

    weights = SimpleNamespace(retrieval=0.0)

    def rerank(self, question, hits, weight=None):
        return [replace(hit, score=float(n)) for n, hit in enumerate(hits)]


def query(ident, question, *passages):
    return Query(ident, question, frozenset(passages), [])


def test_metrics_by_hand(index, encoder):
    queries = [query("1", "apples plums", "p0"), query("2", "violins", "p2"), query("3", "rivers lakes seas hammers", "p4")]
    asked = ask(index, encoder, queries, group="odds")
    report = judge(asked, [0.0, 0.0, 0.0], "command", rerank(Backwards(), asked, [0.0, 0.0, 0.0], 2, tuned=False))
    bm25 = next(r for r in report.results if r.name == "bm25")
    # The third question's right passage shares one word of four, so p3 stands before it.
    assert bm25.metrics == {
        "r@1": pytest.approx(2 / 3, abs=1e-6),
        "r@5": 1.0,
        "r@10": 1.0,
        "r@20": 1.0,
        "mrr": pytest.approx((1 + 1 + 1 / 2) / 3, abs=1e-6),
        "ndcg@10": pytest.approx((1 + 1 + 1 / np.log2(3)) / 3, abs=1e-6),
        "r@5.odds": 1.0,
    }
    fused = next(r for r in report.results if r.name == "fused")
    assert fused.metrics == bm25.metrics | {"dense_weight": 0.0}
    # Of two candidates the second is put first: the right ones fall to the second place, and the third question's rises to the first.
    reranked = next(r for r in report.results if r.name == "reranked")
    assert (reranked.metrics["r@1"], reranked.metrics["mrr"]) == (pytest.approx(1 / 3, abs=1e-6), pytest.approx(2 / 3, abs=1e-6))
    assert report.wrong == []


def test_what_is_no_candidate_keeps_its_place(index, encoder):
    asked = ask(index, encoder, [query("1", "rivers lakes seas hammers", "p4")])
    [found] = rerank(Backwards(), asked, [0.0], 1, tuned=False)
    assert (found.rank, [hit.passage.id for hit in found.hits]) == (2.0, ["p3"])
    assert found.seconds >= asked[0].seconds


def test_a_question_may_have_several_right_passages(index, encoder):
    [asked] = ask(index, encoder, [query("1", "rivers lakes seas hammers", "p3", "p4")])
    assert asked.right == {3, 4}
    assert asked.rank(0.0) == 1.0


def test_hits_are_those_of_the_index(index, encoder):
    [asked] = ask(index, encoder, [query("1", "rivers and hammers", "p3")])
    assert asked.hits(0.3, 3) == index.search("rivers and hammers", encoder.encode(["rivers and hammers"])[0], 3, weight=0.3)


def test_the_weight_comes_from_the_other_half(index, encoder):
    asked = ask(index, encoder, [query(str(n), topic, f"p{n}") for n, topic in enumerate(TOPICS)])
    # Words and vectors agree on every question, so both halves choose the middle of the grid.
    assert two_fold_weights(asked) == [0.5] * 5


def test_files_end_to_end(tiny, tmp_path):
    corpus = written(tmp_path / "c.jsonl", *({**row, "body": row["text"], "text": ""} for row in CORPUS))
    questions = written(
        tmp_path / "q.jsonl",
        {"qid": 1, "question": "Where do trains stop?", "passage_id": "p1"},
        {"qid": 2, "question": "cellos and flutes", "passage_id": "p2"},
        {"qid": 3, "question": "apples or pears", "passage_id": "p4"},
    )
    steps = []

    def progress(what, total):
        return lambda done: steps.append((what, total, done))

    report = evaluate(tiny, "command", corpus=corpus, qrels=questions, mapping={"text": "body"}, progress=progress)
    assert (report.suite, report.n) == ("retrieval", 3)
    fused = next(r for r in report.results if r.name == "fused")
    assert fused.metrics["r@1"] == pytest.approx(2 / 3, abs=1e-6)
    assert steps == [("Embedding passages", 5, 1)] * 5 + [("Searching", 3, 1)] * 3 + [("Reranking", 3, 1)] * 3
    named = {"reranked": False, "fused": False, "bm25": False, "dense": False, "random": True}
    assert {r.name: r.baseline for r in report.results} == named


def test_the_experts_own_questions(tiny):
    report = evaluate(tiny, "")
    fused = next(r for r in report.results if r.name == "fused")
    assert report.n == 6
    assert (fused.metrics["r@5"], fused.metrics["r@5.bees"], fused.metrics["r@5.tea"]) == (1.0, 1.0, 1.0)
    assert fused.latency_ms["p50"] > 0


def test_wrong_items_say_what_was_found_instead(encoder):
    passages = [Passage(f"p{n}", "", f"word{n} common thing", "", f"p{n}") for n in range(8)]
    # The question's word is in seven passages and not in the right one.
    passages.append(Passage("right", "", "nothing alike", "", "right"))
    asked = ask(assemble(passages, encoder), encoder, [query("1", "common thing", "right")])
    report = judge(asked, [0.0], "", rerank(Backwards(), asked, [0.0], 3, tuned=False))
    assert [w["question"] for w in report.wrong] == ["common thing"]
    assert report.wrong[0]["expected"] == ["right"]
    assert set(report.wrong[0]["found"]) < {f"p{n}" for n in range(8)}


def test_without_test_questions(own_experts):
    from graph.services import Services

    for file in own_experts.experts_dir.glob("*/questions.csv"):
        file.unlink()
    with pytest.raises(InputError, match="Expected questions with the split `test`"):
        evaluate(Services(own_experts), "")
