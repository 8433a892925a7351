import pytest

from evaluation.squad import evaluate
from llms.fake import ScriptedModel
from retrieval.reader import Span
from tests.evaluation.test_data import written

CORPUS = [
    {"_id": "rome", "title": "Rome", "text": "Rome is the capital of Italy. It lies on the Tiber."},
    {"_id": "oslo", "title": "Oslo", "text": "Oslo is the capital of Norway. It lies on a fjord."},
    {"_id": "wien", "title": "Vienna", "text": "Vienna is the capital of Austria. It lies on the Danube."},
]
QUESTIONS = [
    {"qid": "1", "question": "What is the capital of Norway?", "passage_id": "oslo", "answers": ["Oslo"]},
    {"qid": "2", "question": "Which city is the capital of Austria?", "passage_id": "wien", "answers": ["Wien", "Vienna"]},
    {"qid": "3", "question": "What is the capital of Italy?", "passage_id": "rome", "answers": ["Milan"]},
]


@pytest.fixture
def files(tmp_path):
    return {"corpus": written(tmp_path / "c.jsonl", *CORPUS), "qrels": written(tmp_path / "q.jsonl", *QUESTIONS)}


def test_squad_scores_with_the_right_passage(tiny, files):
    report = evaluate(tiny, "", **files, oracle=True)
    reader = report.results[0]
    assert reader.name == "local:reader"
    assert reader.metrics["key_fact"] == pytest.approx(2 / 3, abs=1e-6)
    assert "r@5" not in reader.metrics
    assert [w["expected"] for w in report.wrong] == [["Milan"]]
    assert "[1]" not in report.wrong[0]["answer"]


class Fixed:
    """A reader that always finds the same words, and leaves the passages in their order."""

    def rerank(self, question, hits, weight=None):
        return list(hits)

    def find(self, question, hits):
        return hits[0], Span("the city of Oslo", 1.0)


def test_em_and_f1_are_of_the_exact_words(scripted, files):
    services = scripted({"local:reader": ScriptedModel(replies=["Oslo. [1]"] * 3)})
    services.reader = Fixed()
    found = next(r for r in evaluate(services, "", **files).results if r.name == "local:reader")
    # "city of oslo": one word of three is right, for one question of three.
    assert (found.metrics["em"], found.metrics["f1"]) == (0.0, pytest.approx(2 / 4 / 3, abs=1e-6))
    assert found.metrics["key_fact"] == pytest.approx(1 / 3, abs=1e-6)


def test_squad_scores_end_to_end(tiny, files):
    report = evaluate(tiny, "", **files)
    baseline = next(r for r in report.results if r.baseline)
    # Three passages are all among the first five; the top one's first sentence holds the right city twice of three times.
    assert baseline.metrics["r@5"] == 1.0
    assert baseline.metrics["key_fact"] == pytest.approx(2 / 3, abs=1e-6)
    # "oslo is capital of norway": one word of five is right; "vienna ..." likewise; "milan" is nowhere.
    assert baseline.metrics["f1"] == pytest.approx((2 / 6 + 2 / 6 + 0) / 3, abs=1e-6)


def test_a_reader_that_finds_nothing_says_nothing(scripted, files):
    mute = ScriptedModel(replies=["The passages do not answer this question."] * 3)
    report = evaluate(scripted({"local:reader": mute}), "", **files, oracle=True)
    reader = next(r for r in report.results if r.name == "local:reader")
    assert reader.metrics["key_fact"] == 0.0
    assert [w["answer"] for w in report.wrong] == ["", "", ""]
    assert all(call[-1].additional_kwargs["passages"][0]["id"] == q["passage_id"] for call, q in zip(mute.history, QUESTIONS, strict=True))
    assert (reader.metrics["answered"], reader.metrics["citation_precision"], reader.metrics["groundedness"]) == (0.0, None, None)


def test_citations_point_to_the_right_passage(scripted, files):
    # The right passage is always found first, and the word stands in all of them: one of three citations is wrong.
    replies = ["Capital. [1] Capital. [2]", "Vienna is the capital of Austria.", "Capital. [1]"]
    services = scripted({"local:reader": ScriptedModel(replies=replies)})
    services.reader = Fixed()
    reader = next(r for r in evaluate(services, "", **files).results if r.name == "local:reader")
    assert reader.metrics["answered"] == 1.0
    assert reader.metrics["citation_recall"] == pytest.approx((1 + 0 + 1) / 3, abs=1e-6)
    assert reader.metrics["citation_precision"] == pytest.approx(2 / 3, abs=1e-6)


def test_a_judge_sees_the_reference_and_costs(scripted, files):
    judge = ScriptedModel(replies=['{"correctness": 1, "coherence": 5}'] * 3)
    report = evaluate(scripted({"fake:judge": judge}), "", **files, oracle=True, judge="fake:judge")
    reader = next(r for r in report.results if r.name == "local:reader")
    assert (reader.metrics["correctness"], reader.metrics["coherence"], reader.metrics["judge_unreadable"]) == (0.0, 1.0, 0.0)
    assert '"reference": "Wien / Vienna"' in judge.history[1][-1].text
