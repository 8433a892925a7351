"""Which drafts make the answer, and how the passages of several experts are told apart in it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from core.settings import Settings
from core.types import NO_ANSWER, Hit, ModelUse, Outcome, Passage, Route, Tier
from graph.citations import cite
from graph.drafting import renumbered
from graph.nodes.respond import settle
from graph.state import Draft, Verdict
from llms.fake import ScriptedModel
from tests.graph.conftest import BAD, GOOD, HALF, Table

Make = Callable[..., Table]
QUEEN = "The queen lays up to two thousand eggs a day."
WEAK, STRONG = Tier.INFERIOR, Tier.SUPERIOR


def draft(expert: str, confidence: float, tier: Tier = WEAK, attempt: int = 1) -> Draft:
    verdict = Verdict(confidence, {}, answers=True, citations=[])
    return Draft(expert, "", [], ModelUse("m", tier, 0, 0, 0.0, 0.0), verdict, attempt, asked=tier)


TEA, AGAIN, BEES = draft("tea", 0.64), draft("tea", 0.52, attempt=2), draft("bees", 0.5)
SURER, EQUAL = draft("tea", 0.7, attempt=2), draft("tea", 0.64, attempt=2)
STRONG_TEA, UNFIT = draft("tea", 0.5, STRONG, 2), draft("tea", 0.1, STRONG, 2)


@pytest.mark.parametrize(
    ("drafts", "outcome", "kept"),
    [
        ([TEA, AGAIN], Outcome.ANSWERED, [TEA]),
        ([TEA, SURER], Outcome.ANSWERED, [SURER]),
        ([TEA, EQUAL], Outcome.ANSWERED, [EQUAL]),
        ([TEA, AGAIN, UNFIT], Outcome.ANSWERED, [TEA]),
        ([TEA, AGAIN, STRONG_TEA], Outcome.ESCALATED, [STRONG_TEA]),
        ([BEES, AGAIN], Outcome.ANSWERED, [AGAIN, BEES]),
        ([TEA, BEES, STRONG_TEA], Outcome.ESCALATED, [STRONG_TEA, BEES]),
        ([UNFIT, BEES], Outcome.ANSWERED, [BEES]),
        ([UNFIT], Outcome.UNKNOWN, []),
    ],
)
def test_for_each_expert_its_superior_draft_speaks_else_its_surest(
    table: Make, drafts: list[Draft], outcome: Outcome, kept: list[Draft]
) -> None:
    route = Route(["tea", "bees"], {"tea": 0.5, "bees": 0.5}, 0.5, out_of_scope=False, router="none")
    assert settle(table([]).services, route, drafts) == (outcome, kept)


def test_a_second_attempt_that_is_worse_changes_nothing(table: Make) -> None:
    answer = table([GOOD, HALF], [NO_ANSWER], policy={"accept_at": 1.0, "retry_at": 1.0}).ask()
    assert (answer.outcome, answer.answer) == (Outcome.ANSWERED, f"{GOOD} [1]")
    assert answer.confidence > 0.99


def test_experts_whose_passages_have_the_same_ids_are_cited_apart(table: Make, own_experts: Settings) -> None:
    for name, text in (("tea", GOOD), ("bees", QUEEN)):
        corpus = own_experts.experts_dir / name / "corpus"
        for path in corpus.iterdir():
            path.unlink()
        (corpus / "all.jsonl").write_text(json.dumps({"_id": "1", "title": "", "text": text}))
    models = {"fake:tea": ScriptedModel(replies=[GOOD]), "fake:bees": ScriptedModel(replies=[QUEEN])}
    experts = {name: {"inferior": f"fake:{name}"} for name in ("tea", "bees")}
    folders = {"experts_dir": own_experts.experts_dir, "indexes_dir": own_experts.indexes_dir}
    answer = table([], policy={"both_at": 0.0}, models=models, expert=experts, **folders).ask()
    assert answer.answer == f"{GOOD} [1]\n\n{QUEEN} [2]"
    assert [(c.n, c.passage_id, c.quote) for c in answer.citations] == [(1, "1", GOOD), (2, "1", QUEEN)]
    assert [(hit.passage.id, hit.passage.text) for hit in answer.passages] == [("1", GOOD), ("1", QUEEN)]


def test_the_superior_model_may_cite_an_expert_and_another_of_the_same_ids() -> None:
    hits = [Hit(Passage("1", "", text, ""), 1.0, 0.5) for text in (GOOD, BAD, QUEEN)]
    said = f"{QUEEN} [3] {GOOD} [1]"
    found = draft("tea", 0.9, STRONG)
    text, citations = renumbered([Draft("tea", said, hits, found.use, Verdict(0.9, {}, answers=True, citations=cite(said, hits)), 1)])
    assert text == f"{QUEEN} [1] {GOOD} [2]"
    assert [(c.n, c.quote) for c in citations] == [(1, QUEEN), (2, GOOD)]
