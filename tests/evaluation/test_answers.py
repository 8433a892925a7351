import pytest

from core.types import Answer, Citation, Hit, Notice, Outcome, Passage, Route
from evaluation.answers import evaluate, first_sentence, mark
from experts.discovery import Item
from llms.fake import ScriptedModel

ITEM = Item("How long?", "About 90 minutes.", "90 minutes", "cycle", "test")
DOCUMENTS = {"a": "cycle", "b": "other"}


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
    alone = mark(answer(f"**{notice.text}**", Outcome.ESCALATED, cited=(), notices=[notice]), "sleep", ITEM, DOCUMENTS)
    assert (alone.text, alone.groundedness, alone.cited_share, alone.key_fact) == ("", None, None, False)


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


def test_a_judge_grades_what_was_answered(scripted):
    weak = ScriptedModel(replies=["A summer worker lives for about six weeks. [1]"] * 60)
    verdicts = ['{"correctness": 5, "coherence": 4}', "Five out of five!"] * 3
    services = scripted({"fake:weak": weak, "fake:judge": ScriptedModel(replies=verdicts)}, inferior="fake:weak", superior="fake:weak")
    report = evaluate(services, "", judge="fake:judge")
    system = next(r for r in report.results if not r.baseline)
    judged = round(6 * system.metrics["answered"])
    assert (system.metrics["correctness"], system.metrics["coherence"]) == (1.0, 0.75)
    assert system.metrics["judge_unreadable"] == pytest.approx((judged // 2) / judged, abs=1e-6)
    assert system.metrics["judge_cost_usd"] == 0.0
    assert report.notes == [f"Judge: fake:judge, rubric 1, {judged} answers, {judged // 2} verdicts that could not be read, $0.0000."]
