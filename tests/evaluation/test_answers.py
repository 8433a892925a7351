import pytest

from core.types import Answer, Citation, Hit, Notice, Outcome, Passage, Route
from evaluation.answers import evaluate, first_sentence, mark
from experts.discovery import Item
from llms.fake import ScriptedModel
from tests.evaluation.test_data import written

ITEM = Item("How long?", "About 90 minutes.", "90 minutes", "cycle", "test")
DOCUMENTS = {"a": "cycle", "b": "other"}
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


def answer(text, outcome=Outcome.ANSWERED, cited=("a",), notices=()):
    hits = [Hit(Passage("a", "A", "A cycle lasts 90 minutes.", ""), 1.0, 0.0), Hit(Passage("b", "B", "Bees hum.", ""), 0.5, 0.0)]
    citations = [Citation(n, p, "", "", "", 1.0) for n, p in enumerate(cited, 1)]
    route = Route("sleep", {"sleep": 0.9, "out_of_scope": 0.1}, 0.9, False, "similarity")
    return Answer(text, "sleep", route, citations, hits, 0.8, {}, outcome, True, None, list(notices), [], 0.0, 0.0, 1.0, "t", "r")


def test_an_answer_is_marked_by_fact_document_and_citations():
    marked = mark(answer("A cycle lasts 90 minutes. [1] Bees hum loudly. [2]", cited=("a", "b")), "sleep", ITEM, DOCUMENTS)
    assert (marked.key_fact, marked.found, marked.right_expert, marked.answered) == (True, True, True, True)
    assert (marked.right_citations, marked.citations, marked.cited_share) == (1, 2, 1.0)
    # All of the first sentence's words stand in its passage, and two of the second's three.
    assert marked.groundedness == pytest.approx((1 + 2 / 3) / 2)


def test_a_safety_notice_is_no_claim_of_the_answer():
    notice = Notice("safety", "Stop the car. Call for help.")
    marked = mark(answer(f"**{notice.text}**\n\nA cycle lasts 90 minutes. [1]", notices=[notice]), "sleep", ITEM, DOCUMENTS)
    assert (marked.text, marked.groundedness) == ("A cycle lasts 90 minutes. [1]", 1.0)


def test_a_fact_in_a_refusal_does_not_count():
    marked = mark(answer("Not 90 minutes, I do not know.", Outcome.UNKNOWN, cited=()), "car", ITEM, DOCUMENTS)
    assert (marked.key_fact, marked.answered, marked.right_expert) == (False, False, False)
    assert (marked.groundedness, marked.cited_share, marked.citations) == (None, None, 0)


def test_first_sentence_of_the_top_passage():
    hits = [Hit(Passage("a", "", "One. Two.", ""), 1.0, 0.0), Hit(Passage("b", "", "Three.", ""), 0.5, 0.0)]
    assert first_sentence(hits) == "One."
    assert first_sentence([]) == ""


def test_the_experts_own_questions_leave_no_trace(scripted):
    from graph.api import compiled
    from store.runs import threads

    # The reply holds the fact of one of the six questions.
    weak = ScriptedModel(replies=["A summer worker lives for about six weeks. [1]"] * 60)
    services = scripted({"fake:weak": weak}, inferior="fake:weak", superior="fake:weak")
    report = evaluate(services, "switchyard eval answers")
    assert (report.suite, report.n) == ("answers", 6)
    assert {item["question"] for item in report.wrong} >= {
        "Who decoded the dance of the bees?",
        "Why does honey keep for years?",
        "How long does green tea steep?",
        "Which enzyme darkens the leaf?",
        "Where does Darjeeling grow?",
    }
    system = next(r for r in report.results if not r.baseline)
    assert system.metrics["key_fact"] == round((6 - len(report.wrong)) / 6, 6)
    assert threads(services.engine, owner="evaluation") == []
    assert list(compiled(services).checkpointer.list(None)) == []


def test_local_readers_find_the_facts(tiny):
    report = evaluate(tiny, "")
    system, baseline = report.results
    assert (system.name, baseline.name, baseline.baseline) == ("switchyard", "first-sentence", True)
    assert system.metrics["r@5"] >= 5 / 6 - 1e-6
    assert system.metrics["citation_recall"] == 1.0
    assert system.metrics["key_fact.bees"] + system.metrics["key_fact.tea"] == pytest.approx(2 * system.metrics["key_fact"], abs=1e-5)
    assert sum(b.n for b in report.reliability) == round(6 * system.metrics["answered"])


@pytest.fixture
def files(tmp_path):
    return {"corpus": written(tmp_path / "c.jsonl", *CORPUS), "qrels": written(tmp_path / "q.jsonl", *QUESTIONS)}


def test_squad_scores_with_the_right_passage(tiny, files):
    report = evaluate(tiny, "", oracle=True, **files)
    reader = report.results[0]
    assert reader.name == "local:reader"
    assert (reader.metrics["em"], reader.metrics["key_fact"]) == (0.0, pytest.approx(2 / 3, abs=1e-6))
    assert 0 < reader.metrics["f1"] < 0.5
    assert "r@5" not in reader.metrics
    assert [w["expected"] for w in report.wrong] == [["Milan"]]
    assert "[1]" not in report.wrong[0]["answer"]


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
    report = evaluate(scripted({"local:reader": mute}), "", oracle=True, **files)
    reader = next(r for r in report.results if r.name == "local:reader")
    assert (reader.metrics["f1"], reader.metrics["key_fact"]) == (0.0, 0.0)
    assert [w["answer"] for w in report.wrong] == ["", "", ""]
    assert all(call[-1].additional_kwargs["passages"][0]["id"] == q["passage_id"] for call, q in zip(mute.history, QUESTIONS, strict=True))
