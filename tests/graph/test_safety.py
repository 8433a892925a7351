"""What must not wait: the shipped rules on phrasings that their writers have not seen."""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.settings import ROOT, Settings
from core.types import NO_ANSWER, Notice
from experts.discovery import discover, out_of_scope
from graph.fitted import unfitted
from graph.safety import Match
from graph.services import Services
from retrieval.encoder import Encoder
from tests.graph.conftest import Table

ROWS = Path(__file__).parents[1] / "data" / "safety.csv"
"""rule, urgent (yes or no), text: 20 and 20 for each rule, and as many more for babies under `breathing-stops`"""


Found = dict[tuple[str, str], list[tuple[str, str | None]]]
"""(rule, urgent) -> [(text, name of the rule that matched)]"""


def shipped_services(minilm: Encoder, home: Path) -> Services:
    services = Services(Settings(home=home))
    services.encoder = minilm
    return services


@pytest.fixture(scope="module")
def found(minilm: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the shipped rules say of each row. A row that stands in a rule word for word is left out: it would flatter."""
    services = shipped_services(minilm, tmp_path_factory.mktemp("home"))
    known = {text for e in services.experts.values() for rule in e.card.safety for text in (*rule.examples, *rule.harmless)}
    answers: Found = defaultdict(list)
    with ROWS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["text"] not in known:
                match = services.safety.match(minilm.encode([row["text"]])[0], services.policy)
                answers[row["rule"], row["urgent"]].append((row["text"], match.rule.name if match else None))
    return answers


def table_of(found: Found) -> str:
    """For the failure's message: the wrong rows of each rule, with what they matched."""
    lines = []
    for (rule, urgent), rows in found.items():
        wrong = [(text, name) for text, name in rows if name != (rule if urgent == "yes" else None)]
        lines += [f"{rule}, urgent={urgent}: {len(wrong)} of {len(rows)} wrong", *(f"    {name}: {text}" for text, name in wrong)]
    return "\n".join(lines)


def test_every_rule_is_tried_on_urgent_and_on_harmless_rows(found: Found) -> None:
    rules = {rule.name for expert in discover(ROOT / "experts").values() for rule in expert.card.safety}
    assert set(found) == {(rule, urgent) for rule in rules for urgent in ("yes", "no")}
    assert min(len(rows) for rows in found.values()) >= 16


def test_what_is_urgent_is_noticed(found: Found) -> None:
    """A row that touches two rules (a bridge, a crash) may meet the other one's notice first: the superior path is taken all the same."""
    names = [(rule, name) for (rule, urgent), rows in found.items() if urgent == "yes" for _, name in rows]
    noticed, own = (sum(found) / len(names) for found in ([name is not None for _, name in names], [rule == name for rule, name in names]))
    assert noticed >= 0.94, f"noticed {noticed:.3f}\n{table_of(found)}"
    assert own >= 0.9, f"noticed by its own rule {own:.3f}\n{table_of(found)}"


def test_no_rule_is_much_worse_than_the_others(found: Found) -> None:
    noticed = {rule: np.mean([name is not None for _, name in rows]) for (rule, urgent), rows in found.items() if urgent == "yes"}
    assert {rule: rate for rule, rate in noticed.items() if rate < 0.85} == {}


def test_what_is_harmless_is_left_alone(found: Found) -> None:
    noticed = [name is not None for (_, urgent), rows in found.items() if urgent == "no" for _, name in rows]
    alarms = sum(noticed) / len(noticed)
    assert alarms <= 0.05, f"false alarms {alarms:.3f}\n{table_of(found)}"


def test_few_questions_of_the_experts_and_of_strangers_get_a_notice(minilm: Encoder, tmp_path: Path) -> None:
    services = shipped_services(minilm, tmp_path)

    def noticed(texts: list[str]) -> list[str]:
        return [text for text, v in zip(texts, minilm.encode(texts), strict=True) if services.safety.match(v, services.policy)]

    own = [t for e in services.experts.values() for t in (*e.utterances("dev"), *(item.question for item in e.questions("dev")))]
    strangers = out_of_scope(services.settings.experts_dir, "dev")
    assert len(noticed(own)) / len(own) <= 0.02, noticed(own)
    assert len(noticed(strangers)) / len(strangers) <= 0.01, noticed(strangers)


def test_no_example_of_a_rule_is_one_that_the_experts_are_measured_on() -> None:
    experts = discover(ROOT / "experts").values()
    examples = {text.lower() for e in experts for rule in e.card.safety for text in (*rule.examples, *rule.harmless)}
    measured = {item.question.lower() for e in experts for item in e.questions("dev", "test")}
    measured |= {text.lower() for e in experts for text in e.utterances("dev", "test")}
    measured |= {text.lower() for text in out_of_scope(ROOT / "experts", "dev", "test")}
    assert examples & measured == set()


def test_a_match_names_its_rule_its_expert_and_its_score(tiny: Services, table: Callable[..., Table]) -> None:
    services = table([]).services
    match = services.safety.match(tiny.encoder.encode(["I spilled boiling tea over my arm"])[0], services.policy)
    assert match is not None
    assert (match.rule.name, match.expert) == ("scald", "tea")
    assert 0.6 < match.score <= 1.0


@pytest.mark.parametrize(
    "text", ["How hot should the water be for tea?", "Why do bees die after stinging?", "What is the capital of Norway?"]
)
def test_harmless_examples_and_strangers_do_not_match(table: Callable[..., Table], text: str) -> None:
    services = table([]).services
    assert services.safety.match(services.encoder.encode([text])[0], services.policy) is None


def test_what_was_learnt_is_kept_and_made_anew_when_broken(own_experts: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    def match() -> Match | None:
        services = Services(own_experts)
        return services.safety.match(services.encoder.encode(["I spilled boiling tea over my arm"])[0], services.policy)

    assert [what for what, _ in unfitted(Services(own_experts))] == ["the router", "the safety rules"]
    first, said = match(), capfd.readouterr().err
    assert first is not None
    assert said.splitlines().count("Learning the safety rules ...") == 1
    assert [what for what, _ in unfitted(Services(own_experts))] == ["the router"]
    assert (match(), "Learning" in capfd.readouterr().err) == (first, False)
    (kept,) = (own_experts.indexes_dir / ".router").glob("safety-*")
    (kept / "votes.npy").write_bytes((kept / "votes.npy").read_bytes()[:200])
    assert (match(), "Learning" in capfd.readouterr().err) == (first, True)


def test_a_new_example_is_learnt_and_the_old_weights_go(own_experts: Settings) -> None:
    def score() -> float:
        services = Services(own_experts)
        match = services.safety.match(services.encoder.encode(["the teapot burst and cut my hand"])[0], services.policy)
        return match.score if match else 0.0

    before = score()
    rows = 'rule,urgent,text\nscald,yes,"The teapot burst, and a shard cut my hand"\nscald,no,How do I glue a teapot?\n'
    (own_experts.experts_dir / "tea" / "safety.csv").write_text(rows)
    assert score() > max(before, 0.6)
    assert len(list((own_experts.indexes_dir / ".router").glob("safety-*"))) == 1


@pytest.mark.parametrize("review", [False, True])
def test_the_notice_is_that_of_the_rule_also_where_another_expert_has_one_of_that_name(
    own_experts: Settings, table: Callable[..., Table], review: bool
) -> None:
    for expert, rule in (("bees", "allergic-sting"), ("tea", "scald")):
        card = own_experts.experts_dir / expert / "expert.toml"
        card.write_text(card.read_text().replace(f'name = "{rule}"', 'name = "emergency"'))
    t = table([], [NO_ANSWER], experts_dir=own_experts.experts_dir, indexes_dir=own_experts.indexes_dir)
    answer = t.ask("I spilled boiling tea over my arm", review=review)
    burn = "Cool a burn under running water for twenty minutes, and see a doctor if it is large or blistered."
    assert (answer.answer, answer.notices) == (f"**{burn}**", [Notice("safety", burn)])
    assert answer.escalation is not None
    assert answer.escalation.reason == "safety: emergency"


def test_without_rules_nothing_is_learnt(own_experts: Settings) -> None:
    shutil.rmtree(own_experts.experts_dir / "bees")
    card = own_experts.experts_dir / "tea" / "expert.toml"
    card.write_text(card.read_text().split("[[safety]]")[0])
    services = Services(own_experts)
    assert services.safety.match(services.encoder.encode(["I spilled boiling tea over my arm"])[0], services.policy) is None
    assert list((own_experts.indexes_dir / ".router").glob("safety-*")) == []


@pytest.mark.parametrize(
    "question",
    [
        "how do I jump start a car",
        "my toddler wakes up screaming",
        "why is my cat sleeping so much",
        "do electric cars catch fire more often",
    ],
)
def test_a_question_for_knowledge_is_no_emergency(minilm: Encoder, tmp_path: Path, question: str) -> None:
    services = shipped_services(minilm, tmp_path)
    assert services.safety.match(minilm.encode([question])[0], services.policy) is None
