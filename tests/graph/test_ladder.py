"""The ladder: accept, retrieve again, escalate, say "I do not know"; one expert, both, a forced one, and what must not wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import InputError, UnknownNameError
from core.settings import ROOT
from core.types import NO_ANSWER, OUT_OF_SCOPE, Escalation, Notice, Outcome
from graph.language import language_line
from graph.policy import load_policy
from llms.fake import ScriptedModel
from tests.graph.conftest import BAD, GOOD, HALF, QUESTION, Table, refused, write_policy

Make = Callable[..., Table]
UNKNOWN = "I do not know. I looked through the documents of Tea and found no passage that answers this well enough."
SCALD = "I spilled boiling tea over my arm"
SCALD_NOTICE = "Cool a burn under running water for twenty minutes, and see a doctor if it is large or blistered."


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"a": 0.7, "b": 0.2, OUT_OF_SCOPE: 0.1}, ["a"]),
        ({"a": 0.3, "b": 0.6, OUT_OF_SCOPE: 0.1}, ["b", "a"]),
        ({"a": 0.25, "b": 0.26, OUT_OF_SCOPE: 0.49}, ["b", "a"]),
        ({"a": 0.3, "b": 0.2, OUT_OF_SCOPE: 0.5}, []),
        ({"a": 0.34, "b": 0.33, "c": 0.33}, ["a", "b"]),
        ({"a": 0.2, "b": 0.1, "c": 0.2, OUT_OF_SCOPE: 0.5 - 1e-9}, ["a"]),
        ({OUT_OF_SCOPE: 0.4}, []),
    ],
)
def test_the_policy_chooses_the_experts(scores: dict[str, float], expected: list[str]) -> None:
    shipped = load_policy(Path("no home"), ROOT / "artifacts")
    assert shipped.model_copy(update={"out_of_scope_at": 0.5, "both_at": 0.25}).choose(scores) == expected


def test_the_users_policy_wins_and_says_what_is_wrong(table: Make) -> None:
    services = table([]).services
    home, artifacts = services.settings.home, services.settings.artifacts_dir
    assert load_policy(home, artifacts).accept_at == 0.6
    home.mkdir()
    write_policy(home, {"accept_at": 0.9})
    assert load_policy(home, artifacts).accept_at == 0.9
    write_policy(home, {"retry_at": 2})
    with refused(InputError, r".*policy\.toml: retry_at should be less than or equal to 1; got 2\. Mend it; .*"):
        load_policy(home, artifacts)
    (home / "policy.toml").write_bytes(b"\xff")
    with refused(InputError, r".*policy\.toml: expected readable TOML: .*"):
        load_policy(home, artifacts)


def test_a_good_draft_is_accepted_at_once(table: Make) -> None:
    t = table([GOOD])
    answer = t.ask()
    assert (answer.outcome, answer.expert, answer.grounded) == (Outcome.ANSWERED, "tea", True)
    assert answer.answer == f"{GOOD} [1]"
    assert [(c.n, c.quote, c.passage_id) for c in answer.citations] == [(1, GOOD, answer.citations[0].passage_id)]
    assert answer.citations[0].passage_id.startswith("brewing#")
    assert answer.escalation is None
    assert [m.model for m in answer.models] == ["fake:weak"]
    assert answer.confidence > 0.99
    assert t.strong.history == []


def test_a_middling_draft_goes_up_at_once(table: Make) -> None:
    t = table([HALF], [GOOD])
    answer = t.ask()
    assert (answer.outcome, answer.answer) == (Outcome.ESCALATED, f"{GOOD} [1]")
    assert answer.escalation == Escalation("fake:weak", "fake:strong", "confidence 0.50 is below 0.60")
    assert [(m.model, m.tier) for m in answer.models] == [("fake:weak", "inferior"), ("fake:strong", "superior")]


def test_a_bad_draft_is_first_tried_again_on_more_passages(table: Make) -> None:
    t = table([BAD, GOOD])
    assert t.ask().outcome is Outcome.ANSWERED
    first, second = [len(call[-1].additional_kwargs["passages"]) for call in t.weak.history]
    assert (first, second) == (5, min(10, len(t.services.index("tea").passages)))
    assert second > first
    assert t.strong.history == []


def test_the_last_rung_is_an_honest_no(table: Make) -> None:
    t = table([BAD, BAD], [BAD])
    answer = t.ask()
    assert answer.outcome is Outcome.UNKNOWN
    assert answer.answer == UNKNOWN
    assert (answer.citations, answer.grounded) == ([], False)
    assert [m.model for m in answer.models] == ["fake:weak", "fake:weak", "fake:strong"]
    assert answer.escalation is not None
    assert answer.confidence < 0.01


def test_an_empty_handed_model_is_a_reason_of_its_own(table: Make) -> None:
    answer = table([NO_ANSWER, NO_ANSWER], [GOOD]).ask()
    assert answer.escalation == Escalation("fake:weak", "fake:strong", "the passages do not answer")


def test_the_weak_answer_stands_when_the_strong_model_has_none(table: Make) -> None:
    answer = table([HALF], [NO_ANSWER]).ask()
    assert (answer.outcome, answer.answer) == (Outcome.ANSWERED, f"{HALF} [1]")
    assert answer.escalation is not None


def test_without_escalation_a_middling_draft_is_the_answer(table: Make) -> None:
    t = table([HALF], [GOOD])
    answer = t.ask(escalate=False)
    assert (answer.outcome, answer.escalation, t.strong.history) == (Outcome.ANSWERED, None, [])


def test_without_escalation_a_bad_draft_is_unknown(table: Make) -> None:
    t = table([BAD, BAD], [GOOD])
    assert t.ask(escalate=False).outcome is Outcome.UNKNOWN
    assert t.strong.history == []


def test_one_model_in_both_tiers_is_not_asked_twice(table: Make) -> None:
    t = table([HALF], superior="fake:weak")
    answer = t.ask()
    assert (answer.outcome, answer.escalation) == (Outcome.ANSWERED, None)
    assert [m.model for m in answer.models] == ["fake:weak"]


def test_a_chosen_model_takes_the_place_of_the_inferior_one(table: Make) -> None:
    t = table([], [GOOD])
    answer = t.ask(model="fake:strong")
    assert [(m.model, m.tier) for m in answer.models] == [("fake:strong", "inferior")]
    assert answer.outcome is Outcome.ANSWERED


def test_the_superior_model_reads_more_and_from_all_experts(table: Make) -> None:
    t = table([HALF], [GOOD])
    answer = t.ask()
    ids = [hit.passage.id.split("#")[0] for hit in answer.passages]
    assert {"brewing", "plant"} <= set(ids)  # tea
    assert {"castes", "dance", "honey", "keeping"} & set(ids)  # bees
    assert len(ids) == len(t.services.index("tea").passages) + 3


def test_whoever_names_an_expert_gets_that_ones_documents_alone(table: Make) -> None:
    answer = table([HALF], [GOOD]).ask(expert="tea")
    assert answer.models[-1].model == "fake:strong"
    assert {hit.passage.id.split("#")[0] for hit in answer.passages} == {"brewing", "caffeine", "oxidation", "plant"}


def both(table: Make, tea: list[str], bees: list[str], strong: list[str] = []) -> Table:  # noqa: B006
    models = {"fake:tea": ScriptedModel(replies=list(tea)), "fake:bees": ScriptedModel(replies=list(bees))}
    experts = {name: {"inferior": f"fake:{name}"} for name in ("tea", "bees")}
    return table([], strong, policy={"both_at": 0.0}, models=models, expert=experts)


def test_both_experts_answer_as_one(table: Make) -> None:
    answer = both(table, [GOOD], ["The queen lays up to two thousand eggs a day. Ripe honey holds less than 20 percent water."]).ask()
    assert (answer.outcome, answer.expert) == (Outcome.ANSWERED, ["tea", "bees"])
    assert (
        answer.answer == f"{GOOD} [1]\n\nThe queen lays up to two thousand eggs a day. [2] Ripe honey holds less than 20 percent water. [3]"
    )
    assert [(c.n, c.passage_id.split("#")[0]) for c in answer.citations] == [(1, "brewing"), (2, "castes"), (3, "honey")]
    assert {hit.passage.id for hit in answer.passages} >= {c.passage_id for c in answer.citations}
    assert sorted(m.model for m in answer.models) == ["fake:bees", "fake:tea"]


def test_of_both_experts_only_those_who_know_speak(table: Make) -> None:
    answer = both(table, [GOOD], [NO_ANSWER]).ask()
    assert (answer.outcome, answer.answer, answer.expert) == (Outcome.ANSWERED, f"{GOOD} [1]", ["tea", "bees"])


def test_when_neither_expert_knows_both_read_again_and_the_strong_model_answers_for_each(table: Make) -> None:
    answer = both(table, [BAD, BAD], [BAD, NO_ANSWER], [GOOD, NO_ANSWER]).ask()
    models = sorted(m.model for m in answer.models)
    assert models == ["fake:bees", "fake:bees", "fake:strong", "fake:strong", "fake:tea", "fake:tea"]
    assert (answer.outcome, answer.answer) == (Outcome.ESCALATED, f"{GOOD} [1]")


def test_a_forced_expert_is_asked_whatever_the_router_says(table: Make) -> None:
    t = table(["The queen lays up to two thousand eggs a day."])
    answer = t.ask(expert="bees")
    assert (answer.expert, answer.route.expert, answer.route.out_of_scope) == ("bees", "bees", False)
    assert answer.route.scores["tea"] > answer.route.scores["bees"] == answer.route.confidence
    assert {hit.passage.id for hit in answer.passages} < {passage.id for passage in t.services.index("bees").passages}


def test_a_forced_expert_is_never_declined(table: Make) -> None:
    assert table([GOOD], policy={"out_of_scope_at": 0.0}).ask(expert="tea").outcome is Outcome.ANSWERED


def test_unknown_names_are_refused_with_those_that_exist(table: Make) -> None:
    with pytest.raises(UnknownNameError, match=r"No expert is called 'coffee'\. Known: bees, tea\."):
        table([]).ask(expert="coffee")
    with pytest.raises(UnknownNameError, match="No router is called 'magic'"):
        table([]).ask(router="magic")


def test_out_of_scope_is_declined_with_what_is_covered(table: Make) -> None:
    answer = table([], policy={"out_of_scope_at": 0.0, "look_below": 0.0}).ask()
    assert (answer.outcome, answer.expert, answer.models, answer.confidence) == (Outcome.DECLINED, None, [], 0.0)
    assert answer.route.out_of_scope
    for line in ("**Bees**: Honey bees", "Try: *How long should green tea steep?*", "outside what my experts cover"):
        assert line in answer.answer


def test_another_language_is_named(table: Make) -> None:
    answer = table([], policy={"out_of_scope_at": 0.0}).ask("Pourquoi est-ce que le thé est noir et amer?")
    assert answer.answer.startswith(language_line("Pourquoi ?") + "\n\nI can help with:")
    unknown = table([NO_ANSWER] * 2, [NO_ANSWER]).ask("Wie lange dauert es?", expert="tea")
    assert (unknown.outcome, unknown.answer) == (Outcome.UNKNOWN, f"{language_line('Warum?')}\n\n{UNKNOWN}")


def test_a_reply_in_another_language_is_named_whatever_it_is_joined_with(table: Make) -> None:
    t = table([], policy={"out_of_scope_at": 0.0})
    t.ask("it hurts", thread="t")
    assert t.ask("睡眠", thread="t").answer.startswith("I answer questions in English; this one is in another script.")


def test_the_general_model_answers_what_is_out_of_scope_and_is_marked(table: Make) -> None:
    general = ScriptedModel(replies=["Oslo."])
    answer = table([], policy={"out_of_scope_at": 0.0}, models={"fake:general": general}, general="fake:general").ask("Capital of Norway?")
    assert (answer.outcome, answer.answer, answer.grounded, answer.citations) == (Outcome.DECLINED, "Oslo.", False, [])
    assert answer.notices == [
        Notice("model", "This answer comes from a general model and cites no documents: check it before you rely on it.")
    ]
    assert general.history[0][-1].text == "Capital of Norway?"


def test_what_must_not_wait_goes_straight_to_the_strong_model(table: Make) -> None:
    t = table([], [GOOD])
    answer = t.ask(SCALD)
    assert answer.notices[0] == Notice("safety", SCALD_NOTICE)
    assert answer.answer == f"**{SCALD_NOTICE}**\n\n{GOOD} [1]"
    assert answer.outcome is Outcome.ESCALATED
    assert answer.escalation == Escalation("fake:weak", "fake:strong", "safety: scald")
    assert t.weak.history == []


def test_what_must_not_wait_is_never_declined(table: Make) -> None:
    answer = table([], [GOOD], policy={"out_of_scope_at": 0.0}).ask(SCALD)
    assert (answer.outcome, answer.expert, answer.route.out_of_scope) == (Outcome.ESCALATED, "tea", False)
    assert answer.notices[0].kind == "safety"


def test_what_must_not_wait_reaches_its_expert_whoever_was_chosen(table: Make) -> None:
    assert table([], [GOOD]).ask(SCALD, expert="bees").expert == "tea"


def test_without_escalation_the_notice_stays(table: Make) -> None:
    said = "Boiling water scalds green leaves and draws out bitterness."
    t = table([said], [])
    answer = t.ask(SCALD, escalate=False)
    assert answer.answer == f"**{SCALD_NOTICE}**\n\n{said} [1]"
    assert (answer.notices[0].kind, answer.escalation, answer.outcome) == ("safety", None, Outcome.ANSWERED)


def test_without_an_answer_the_notice_stands_alone(table: Make) -> None:
    answer = table([], [NO_ANSWER]).ask(SCALD)
    assert (answer.outcome, answer.answer) == (Outcome.UNKNOWN, f"**{SCALD_NOTICE}**")


def test_a_doubtful_answer_is_not_put_under_what_must_not_wait(table: Make) -> None:
    answer = table([], [HALF]).ask(SCALD)
    assert (answer.answer, answer.citations, answer.grounded) == (f"**{SCALD_NOTICE}**", [], False)
    assert answer.notices[0] == Notice("safety", SCALD_NOTICE)
    assert answer.escalation == Escalation("fake:weak", "fake:strong", "safety: scald")


def test_a_harmless_neighbour_gets_no_notice(table: Make) -> None:
    assert table([GOOD]).ask("How hot should the water be for tea?").notices == []


def test_html_from_a_model_is_text_like_any_other(table: Make) -> None:
    written = f"{GOOD} <script>alert(1)</script> <b>bold</b>"
    answer = table([written], policy={"accept_at": 0.0}).ask(QUESTION)
    assert "<script>alert(1)</script> <b>bold</b>" in answer.answer
