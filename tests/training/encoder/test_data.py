import pytest

from core.errors import InputError
from evaluation.results import silent
from tests.evaluation.test_data import written
from training.encoder.data import examples, read_files


@pytest.fixture
def corpus(tmp_path):
    return written(tmp_path / "c.jsonl", *({"_id": f"p{n}", "text": f"Fact {n} is number {n}."} for n in range(20)))


def asked(n, passage, question=None):
    return {"qid": str(n), "question": question or f"Which is fact {n}?", "passage_id": f"p{passage}", "answers": [f"number {passage}"]}


def test_questions_of_one_passage_are_held_out_together(tmp_path, corpus):
    qrels = written(tmp_path / "q.jsonl", *(asked(n, n % 20) for n in range(40)))
    files = read_files(corpus, qrels, None, {}, seed=0)
    held_out = {p for q in files.held_out for p in q.passages}
    assert (len(held_out), len(files.held_out), len(files.train)) == (2, 4, 36)
    assert held_out.isdisjoint(p for q in files.train for p in q.passages)


def test_a_question_that_is_held_out_is_not_learnt_from(tmp_path, corpus):
    qrels = written(tmp_path / "q.jsonl", asked(1, 1), asked(2, 2, "Which is THE fact?"), asked(3, 3))
    judged = written(tmp_path / "h.jsonl", asked(9, 4, "which is the fact"))
    files = read_files(corpus, qrels, judged, {}, seed=0)
    assert [q.question for q in files.train] == ["Which is fact 1?", "Which is fact 3?"]
    assert [q.question for q in files.held_out] == ["which is the fact"]


def test_nothing_left_to_learn_from(tmp_path, corpus):
    qrels = written(tmp_path / "q.jsonl", asked(1, 1))
    with pytest.raises(InputError, match="expected questions to learn from and to hold out; got 0 and 1"):
        read_files(corpus, qrels, None, {}, seed=0)


def test_experts_and_files_are_learnt_from(tiny, tmp_path, corpus):
    files = read_files(corpus, written(tmp_path / "q.jsonl", *(asked(n, n) for n in range(20))), None, {}, seed=0)
    found = examples(tiny, files, silent)
    own = {i.question: i for e in tiny.experts.values() for i in e.questions("train")}
    of_experts = [e for e in found if e.question in own]
    assert {e.right.document for e in of_experts} == {own[e.question].document for e in of_experts}
    assert len(of_experts) > 5
    assert [e.question for e in found[len(of_experts) :]] == [q.question for q in files.train]
    assert all(e.right not in e.wrong for e in found)
